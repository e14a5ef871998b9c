"""All sockets of a loop have a little of each of its turns together, and nobody is passed over."""

import asyncio
from collections.abc import Callable

import pytest

from server import turns
from server.turns import TURN_SECONDS, Turns


def test_they_share_each_turn_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(turns, "monotonic", lambda: now)
    done: list[str] = []

    async def run() -> list[int]:
        shared = Turns(asyncio.get_running_loop())

        def working(name: str) -> Callable[[], None]:
            def work() -> None:
                nonlocal now
                now += 0.6 * TURN_SECONDS
                done.append(name)
                shared.later(name, work)

            return work

        for name in "abcde":
            shared.later(name, working(name))
        counts = []
        for _ in range(6):
            before = len(done)
            await asyncio.sleep(0)
            counts.append(len(done) - before)
        return counts

    assert max(asyncio.run(run())) == 2
    assert "".join(done) == ("abcde" * 9)[: len(done)]
    assert len(done) > 5


def test_who_waits_is_called_once_and_then_nobody_is() -> None:
    async def run() -> list[int]:
        shared, called = Turns(asyncio.get_running_loop()), [0]

        def work() -> None:
            called[0] += 1

        assert not shared.is_over
        shared.later("a", work)
        assert called == [0], "in a later turn"
        for _ in range(5):
            await asyncio.sleep(0)
        return called

    assert asyncio.run(run()) == [1]
