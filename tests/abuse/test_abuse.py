"""Strangers attack, and fifty honest users beside them are served as ever."""

from collections.abc import Iterator, Sequence

import pytest

from tests.abuse import (
    accounts,
    floods,
    full_redis,
    heavy_requests,
    held_memory,
    hostile_replies,
    silent_names,
    voice,
)
from tests.abuse.attackers import Attack, Victim, attacking
from tests.abuse.conftest import Tell
from tests.abuse.harness import Place, Seen, place
from tests.processes import ROOT

MOST_SECONDS = 0.25
"""For 99 of 100 replies to the honest users."""
MOST_BYTES = 2 * 495_000_000
"""Of two workers and their parent: docs/operate.md adds up what one takes with its parent."""
ROUNDS = 8
"""Others use this machine, too: one quiet round shows what the server can do."""


COMMON = [
    *heavy_requests.ATTACKS,
    *held_memory.ATTACKS,
    *floods.ATTACKS,
    *hostile_replies.ATTACKS,
    *voice.ATTACKS,
    *accounts.ATTACKS,
    *full_redis.CONFIGS_OF_OTHERS,
]
ATTACKS = [*COMMON, *full_redis.LOGINS, *silent_names.ATTACKS]


def attacks(found: Sequence[Attack]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("attack", found, ids=[attack.name for attack in found])


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One server for all: what an attack leaves behind, the next ones find."""
    with place(tmp_path_factory.mktemp("common")) as made:
        yield made
        made.audit()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Its Redis is soon full, and logins from loopback have no limits by address."""
    folder = tmp_path_factory.mktemp("small")
    with place(folder, "8mb") as made:
        yield made
        made.audit()


@pytest.fixture(scope="module")
def nameless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Some names it never finds."""
    folder = tmp_path_factory.mktemp("nameless")
    with place(folder, PYTHONPATH=f"{silent_names.PATCHED}:{ROOT}") as made:
        yield made
        made.audit()


def test_without_attackers(common: Place, tell: Tell) -> None:
    seen = common.observe()
    tell("none", seen, {})
    check(seen)


@attacks(COMMON)
def test_nobody_notices(common: Place, attack: Attack, tell: Tell) -> None:
    withstand(common, attack, tell)


@attacks(full_redis.LOGINS)
def test_nobody_notices_that_redis_fills(small: Place, attack: Attack, tell: Tell) -> None:
    withstand(small, attack, tell)


@attacks(silent_names.ATTACKS)
def test_nobody_notices_dead_names(nameless: Place, attack: Attack, tell: Tell) -> None:
    withstand(nameless, attack, tell)


def withstand(place: Place, attack: Attack, tell: Tell) -> None:
    workers = place.server.worker_pids()
    for remaining in reversed(range(ROUNDS)):
        victim = Victim(place.server.url, place.valkey.url)
        with attacking(attack, victim):
            seen = place.observe()
        tell(attack.name, seen, victim.statuses())
        place.recover()
        check(seen, attack.fills_room)
        if seen.quantile(0.99) < MOST_SECONDS:
            break
        assert remaining, f"p99 was {seen.quantile(0.99):.3f} s, in each round too much"
    assert place.server.worker_pids() == workers, place.server.text()[-2000:]


def check(seen: Seen, is_room_full: bool = False) -> None:
    assert set(seen.statuses) == {200}
    assert set(seen.large_statuses) <= ({200, 503} if is_room_full else {200})
    assert seen.peak_bytes < MOST_BYTES
