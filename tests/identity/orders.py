"""Every order of the steps of a few processes of the ladder's model, with deaths between."""

import random
from collections.abc import Callable
from typing import Any

from tests.identity.ladder_faults import faults, faults_at_rest
from tests.identity.ladder_model import Steps, User, World, login

END = object()
Scenario = Callable[[World], list[Steps]]
"""Makes what there is at first, and who does something at the same time."""


def run(steps: Steps) -> None:
    for _ in steps:
        pass


def settle(world: World, identities: list[str]) -> list[str]:
    """What is wrong when all who died are forgotten, and each identity has logged in again."""
    world.drop_expiring()
    for identity in identities:
        run(login(world, f"last {identity}", identity))
    return faults_at_rest(world)


def _place(steps: Steps) -> list[Any]:
    """Where a process is, and what it knows."""
    places = []
    inner: Any = steps
    while inner is not None and inner.gi_frame is not None:
        known = inner.gi_frame.f_locals.items()
        kept = [pair for pair in known if not isinstance(pair[1], World | User)]
        places.append((inner.gi_frame.f_lasti, kept))
        inner = inner.gi_yieldfrom
    return places


def _replay(scenario: Scenario, change: str, choices: tuple[int, ...]) -> tuple[World, list[Any]]:
    """A choice is the number of who does a step, or ~number of who dies."""
    world = World(change)
    processes: list[Steps | None] = [*scenario(world)]
    for process in processes:
        assert process is not None
        next(process)
    for choice in choices:
        number = choice if choice >= 0 else ~choice
        process = processes[number]
        assert process is not None
        if choice < 0:
            process.close()
            processes[number] = None
            continue
        try:
            next(process)
        except StopIteration:
            processes[number] = None
    return world, processes


def explore(scenario: Scenario, deaths: int, change: str = "") -> tuple[int, list[str]]:
    """How many states there are, and the faults of the first that has some."""
    seen: set[str] = set()
    waiting: list[tuple[int, ...]] = [()]
    while waiting:
        choices = waiting.pop()
        world, processes = _replay(scenario, change, choices)
        died = sum(choice < 0 for choice in choices)
        places = [process and _place(process) for process in processes]
        state = repr((sorted(vars(world).items()), places, died))
        if state in seen:
            continue
        seen.add(state)
        if found := faults(world):
            return len(seen), found
        going = [number for number, process in enumerate(processes) if process is not None]
        waiting += [(*choices, number) for number in going]
        if died < deaths:
            waiting += [(*choices, ~number) for number in going]
        if not going and (found := settle(world, ["google", "apple"])):
            return len(seen), found
    return len(seen), []


def wander(scenario: Scenario, deaths: int, chance: random.Random, change: str = "") -> list[str]:
    """The faults of one order of many."""
    world = World(change)
    going = scenario(world)
    for process in going:
        next(process)
    while going:
        process = chance.choice(going)
        if deaths and chance.random() < 0.03:
            deaths -= 1
            going.remove(process)
            continue
        if next(process, END) is END:
            going.remove(process)
        if found := faults(world):
            return found
    return settle(world, ["google", "apple"])
