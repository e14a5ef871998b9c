"""Exact under concurrency: balances, rate limits and Idempotency-Keys, with four workers.

tests/faults asks five times as much of each arrangement of Redis.
"""

import random
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import pytest

from tests.api import Api
from tests.callers import Load, each_worker
from tests.metering.exactness import (
    LIMIT,
    WINDOW,
    Interval,
    check_charges,
    check_holds,
    check_idempotency,
    check_window,
    most_in_a_window,
)
from tests.processes import Server, Valkey


@pytest.fixture(scope="module")
def server(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("four-workers") / "out"
    with Server(output, REDIS_URL=valkey.url, WORKERS="4") as server:
        yield server


@pytest.mark.parametrize(
    "check",
    [
        partial(check_charges, tokens=200),
        partial(check_holds, each=5),
        check_idempotency,
        check_window,
    ],
    ids=["charges", "holds", "idempotency", "window"],
)
async def test_four_workers_are_exact(
    check: Callable[[list[Load], Api], Awaitable[None]], api: Api, server: Server
) -> None:
    async with each_worker(server) as loads:
        await check(loads, api)


def test_a_fixed_window_is_found_out() -> None:
    """Two simulated limiters under the same bursts: the checker tells one from the other."""
    bursts = random.Random(1)
    times = sorted(bursts.uniform(0, 20 * WINDOW) for _ in range(40) for _ in range(30))

    def admitted(is_free: Callable[[float, float], bool]) -> list[Interval]:
        kept: list[float] = []
        for at in times:
            if sum(is_free(earlier, at) for earlier in kept) < LIMIT:
                kept.append(at)
        return [(at - 0.004, at + 0.004) for at in kept]

    sliding = admitted(lambda earlier, at: at - earlier < WINDOW)
    fixed = admitted(lambda earlier, at: at // WINDOW == earlier // WINDOW)
    assert most_in_a_window(sliding, WINDOW) <= LIMIT
    assert most_in_a_window(fixed, WINDOW) > LIMIT
