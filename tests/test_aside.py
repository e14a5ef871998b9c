"""What is done aside: one piece after another, and nobody's many pieces before another's one."""

import asyncio
import threading

import pytest

from server.aside import aside

BUSY, NEIGHBOUR, OTHER = ("tenant a", "user 1"), ("tenant a", "user 2"), ("tenant b", "user 3")


async def test_tenants_and_their_users_have_turns() -> None:
    may_begin, done = threading.Event(), list[tuple[str, str]]()

    def work(owners: tuple[str, str]) -> None:
        may_begin.wait()
        done.append(owners)

    tasks = [asyncio.create_task(aside(BUSY, work, BUSY)) for _ in range(20)]
    tasks += [asyncio.create_task(aside(owners, work, owners)) for owners in (NEIGHBOUR, OTHER)]
    await asyncio.sleep(0)
    may_begin.set()
    await asyncio.gather(*tasks)
    assert done.index(OTHER) <= 1
    assert done.index(NEIGHBOUR) <= 2
    assert len(done) == 22


async def test_who_fails_or_leaves_loses_its_turn_alone() -> None:
    def fail() -> None:
        raise ValueError("it fails")

    with pytest.raises(ValueError, match="it fails"):
        await aside(BUSY, fail)
    held = threading.Event()
    first, second = (asyncio.create_task(aside(BUSY, held.wait)) for _ in range(2))
    await asyncio.sleep(0)
    second.cancel()
    held.set()
    assert await first
    assert await aside(BUSY, len, "four") == 4
