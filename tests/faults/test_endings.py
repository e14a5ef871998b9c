"""The table of endings in docs/gateway.md, each 100 times in each way that a call can go."""

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from random import Random
from typing import Any

import httpx
import pytest

from tests.api import Api, User
from tests.doubles import Answer, Call, Double, Tool, random_answer
from tests.doubles.quirks import HARMLESS
from tests.endpoints import text_config
from tests.faults.checks import audit
from tests.faults.endings import (
    NOWHERE,
    SECOND,
    Books,
    Case,
    Leaves,
    Outcome,
    call_all,
    endpoints_at,
    fragments,
    text_answer,
)
from tests.gateway.asking import PROTOCOLS
from tests.hurried import HOLDS, Hurried
from tests.processes import Server, Valkey, eventually, until

TIMES = 100
USERS = 40
TOKENS = 10**7
KILLED = 400
"""Calls, at the least."""
ANY = 0
"""Whichever status: chance decides which failure comes first."""
SAME = -1
"""The status of the provider."""
WAYS = [*product(PROTOCOLS, PROTOCOLS, (True, False))]


@pytest.fixture(scope="module")
def patient(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("patient") / "out"
    with Server(output, REDIS_URL=valkey.url, WORKERS="2", ALLOW_PRIVATE_UPSTREAMS="1") as server:
        yield server


@pytest.fixture(scope="module")
def hurried(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("hurried") / "out"
    # A busy machine may take seconds to the first byte of a hundred calls at once.
    timeouts = {"first_byte": 20, "idle": 1.5, "read_on": 0.3}
    with Hurried(output, valkey.url, timeouts, WORKERS="2") as server:
        yield server


@pytest.fixture(scope="module")
def soon_tired(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Of waiting for a first byte."""
    output = tmp_path_factory.mktemp("soon-tired") / "out"
    timeouts = {"first_byte": 0.8, "idle": 0.8}
    with Hurried(output, valkey.url, timeouts, WORKERS="2") as server:
        yield server


@pytest.fixture(scope="module")
def mortal(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("mortal") / "out"
    # Calls wait for each other, some of them for their usage.
    with Hurried(output, valkey.url, HOLDS | {"last_usage": 60}, WORKERS="2") as server:
        yield server


@pytest.fixture
def double() -> Iterator[Double]:
    with Double() as double:
        yield double


Made = dict[str, Any]
"""Members of the case, and those of its answer under their names."""


@dataclass(frozen=True)
class Ending:
    """How to make a case's answer bad: `last` is the number of its last step."""

    answer: Callable[[Random, int], Made] = lambda _random, _last: {}
    status: int = 200
    of_whole: int | None = 200
    """The status where the reply is not streamed; None: it cannot end so."""
    leaves: Leaves = "never"
    server: str = "patient"
    """The fixture."""
    case: Callable[[Random], Made] = lambda _random: {}


def _refusal(random: Random, _: int) -> Made:
    return {"status": random.choice([400, 404, 409, 413, 422])}


def _failure(random: Random, _: int) -> Made:
    return random.choice([{"status": random.choice([401, 402, 403, 500, 503, 529])}, {"cut_at": 0}])


def _any_failure(random: Random, last: int) -> Made:
    faults: list[Made] = [
        {"status": random.choice([400, 401, 429, 500])},
        {"cut_at": random.randint(0, last)},
        {"error_at": random.randint(0, last)},
        {"without_finish": True},
        {},
    ]
    pauses = {"delay": random.uniform(0, 0.03), "pause": random.uniform(0, 0.005)}
    return pauses | random.choice(faults)


def _small_limit(random: Random) -> Made:
    return {"limit": random.choice([random.randint(1, 30), 500])}


ENDINGS = {
    "completed": Ending(case=_small_limit),
    "usage beside choices": Ending(lambda _random, _last: {"usage": "with_choices"}),
    "a harmless quirk": Ending(
        lambda random, _last: {"quirks": (random.choice([*HARMLESS.values()]),)}
    ),
    "no usage": Ending(lambda _random, _last: {"usage": "absent"}, case=_small_limit),
    "malformed usage": Ending(
        lambda random, _last: (
            {"malformed": random.choice(["12", 1.5, -3, True, 10**14])}
            | dict.fromkeys(("cached_tokens", "cache_write_tokens", "reasoning_tokens"), 0)
        )
    ),
    "no end of the stream": Ending(lambda _random, _last: {"without_done": True}, of_whole=None),
    "no finish": Ending(lambda _random, _last: {"without_finish": True}, of_whole=None),
    "error event first": Ending(lambda _random, _last: {"error_at": 0}, 502, None),
    "error event": Ending(
        lambda random, last: {"error_at": random.randint(1, last)}, of_whole=None
    ),
    "cut": Ending(lambda random, last: {"cut_at": random.randint(1, last)}, of_whole=502),
    "refused": Ending(_refusal, SAME, SAME),
    "busy": Ending(lambda _random, _last: {"status": 429}, 429, 429),
    "failed before the first byte": Ending(_failure, 502, 502),
    "unreachable": Ending(status=502, of_whole=502, case=lambda _random: {"endpoint": NOWHERE}),
    "no first byte in time": Ending(
        lambda _random, _last: {"stop_at": 0}, 504, 504, server="soon_tired"
    ),
    "no next byte in time": Ending(
        lambda random, last: {"stop_at": random.randint(1, last)}, of_whole=None, server="hurried"
    ),
    "beyond its limit": Ending(
        lambda _random, _last: {"ignore_limit": True, "pause": 0.001},
        case=lambda random: {"limit": random.randint(30, 40)},
    ),
    "client gone before the head": Ending(
        lambda _random, _last: {"stop_at": 0}, leaves="before the head"
    ),
    "client gone while the provider fails": Ending(_any_failure, ANY, ANY, "before the head"),
    "client gone in mid-stream": Ending(
        lambda random, _last: {"pause": random.uniform(0, 0.005)},
        of_whole=None,
        leaves="in mid-stream",
    ),
    "client gone after the finish": Ending(
        lambda random, _last: {"stop_at": -1, "usage": random.choice(["absent", "reported"])},
        of_whole=None,
        leaves="after the finish",
    ),
    "client gone after the finish, and no usage": Ending(
        lambda _random, _last: {"stop_at": -1},
        of_whole=None,
        leaves="after the finish",
        server="hurried",
        case=lambda _random: {"releases": False},
    ),
}


UNDER_WAY = Ending(lambda random, last: {"stop_at": random.randint(0, last)})


def make_cases(ending: Ending, times: int = TIMES, first_seed: int = 0) -> list[Case]:
    ways = [way for way in WAYS if way[2] or ending.of_whole is not None]
    return [
        make_case(ending, seed, *way)
        for seed, way in enumerate((way for way in ways for _ in range(times)), first_seed)
    ]


def make_case(ending: Ending, seed: int, asked: str, spoken: str, stream: bool) -> Case:
    random = Random(seed)
    answer = text_answer(random, random_answer(seed, "completed"))
    if stream and random.random() < 0.2:
        answer = replace(answer, tools=(Tool("look", {"at": "all of it"}), Tool("stop", {"in": 5})))
    steps = len(fragments(answer, 10_000)) + 3
    answer = replace(answer, **ending.answer(random, steps - 1))
    status = ending.status if stream else ending.of_whole
    assert status is not None
    return Case(
        seed=seed,
        asked=asked,
        spoken=spoken,
        stream=stream,
        answer=answer,
        leaves=ending.leaves,
        status=answer.status if status == SAME else status,
        **ending.case(random),
    )


class Batch:
    """Cases, and the users of a new tenant that make them."""

    def __init__(
        self, server: Server, valkey: Valkey, double: Double, second: Double | None = None
    ) -> None:
        """`second`: the double to fall back on."""
        self._server, self._valkey = server, valkey
        self._double, self._second = double, second
        group = {"tokens": TOKENS, "rate_limit": 10_000, "rate_limit_window": 60}
        endpoints = endpoints_at(double.url, (second or double).url)
        config = text_config(endpoints, [SECOND] if second else None, anonymous=group, paid=group)
        with httpx.Client(base_url=server.url, timeout=20) as client:
            self.api = Api.new_tenant(client, config)
            self.users = [self.api.login().become_permanent() for _ in range(USERS)]

    def run(self, cases: list[Case]) -> list[Outcome]:
        at_once = 100 if isinstance(self._server, Hurried) else 48
        return asyncio.run(self.call(cases, at_once))

    async def call(self, cases: list[Case], at_once: int) -> list[Outcome]:
        for case in cases:
            self._double.script(case.key, case.before or case.answer)
            if self._second is not None:
                self._second.script(case.key, case.answer)
        made = [(case, self._user(case)) for case in cases]
        return await call_all(self._server.url, self._double, made, at_once)

    def check(self, cases: list[Case], outcomes: list[Outcome]) -> None:
        double = self._second or self._double
        calls = {call.key: call for call in double.calls()}
        assert len(calls) == len(double.calls()), "a call was made twice"
        eventually(lambda: all(call.ended for call in calls.values()))
        books: dict[User, list[tuple[Case, Outcome, Call | None]]] = defaultdict(list)
        for case, outcome in zip(cases, outcomes, strict=True):
            self._check_status(case, outcome)
            books[self._user(case)].append((case, outcome, calls.get(case.key)))
        with httpx.Client(base_url=self._server.url, timeout=20) as client:
            self.api.client = client
            for user, made in books.items():
                eventually(partial(_has_nothing_held, user))
                Books(user, TOKENS).check(made)
        audit(self._valkey.url, self.api.tenant_id)

    @staticmethod
    def _check_status(case: Case, outcome: Outcome) -> None:
        if outcome.status is None:
            assert outcome.is_killed or case.leaves == "before the head", case
        else:
            assert case.status in (outcome.status, ANY), f"{outcome}: {case}"

    def _user(self, case: Case) -> User:
        return self.users[case.seed % USERS]


def _has_nothing_held(user: User) -> bool:
    return bool(user.balance()["tokensHeld"] == 0)


@pytest.mark.parametrize("name", ENDINGS)
def test_an_ending_costs_what_the_table_says(
    request: pytest.FixtureRequest, valkey: Valkey, double: Double, name: str
) -> None:
    ending = ENDINGS[name]
    batch = Batch(request.getfixturevalue(ending.server), valkey, double)
    cases = make_cases(ending)
    outcomes = batch.run(cases)
    assert not any(outcome.is_killed for outcome in outcomes)
    batch.check(cases, outcomes)


def _first_failure(random: Random, stream: bool) -> Answer:
    """Of an endpoint that another one is then asked for."""
    failures: list[Made] = [{"status": random.choice([429, 500, 503, 529])}, {"cut_at": 0}]
    return Answer(**random.choice([*failures, {"error_at": 0}] if stream else failures))


def test_only_the_endpoint_that_was_fallen_back_on_is_charged(
    patient: Server, valkey: Valkey, double: Double
) -> None:
    with Double() as second:
        batch = Batch(patient, valkey, double, second)
        cases = [
            replace(case, before=_first_failure(Random(case.seed), case.stream))
            for case in make_cases(Ending())
        ]
        batch.check(cases, batch.run(cases))
        assert len(double.calls()) == len(second.calls()) == len(cases)


def test_a_killed_worker_charges_nothing(mortal: Server, valkey: Valkey, double: Double) -> None:
    batch = Batch(mortal, valkey, double)
    cases: list[Case] = []
    outcomes: list[Outcome] = []
    while sum(outcome.is_killed for outcome in outcomes) < KILLED:
        made = make_cases(UNDER_WAY, 40, len(cases))
        outcomes += asyncio.run(_call_and_kill(mortal, double, batch, made))
        cases += made
    batch.check(cases, outcomes)


async def _call_and_kill(
    server: Server, double: Double, batch: Batch, cases: list[Case]
) -> list[Outcome]:
    """Kills a worker while all calls are under way; those of the other one come to their end."""
    calls = asyncio.create_task(batch.call(cases, len(cases)))
    stops = {case.key: case.stream * (case.answer.stop_at or 0) for case in cases}

    def are_under_way() -> bool:
        waiting = [call for call in double.calls() if call.steps == stops.get(call.key)]
        return len(waiting) == len(cases)

    await until(lambda: calls.done() or are_under_way())
    pid = server.worker_pids()[0]
    os.kill(pid, signal.SIGKILL)
    await until(lambda: pid not in server.worker_pids())
    for case in cases:
        double.release(case.key)
    return await calls
