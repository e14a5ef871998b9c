"""Exact under concurrency: balances, rate limits and Idempotency-Keys, with four workers."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.api import Api, User
from tests.callers import Load, each_worker
from tests.metering.exactness import (
    LIMIT,
    WINDOW,
    Interval,
    check_charges,
    check_holds,
    check_idempotency,
    check_window,
    login,
    most_in_a_window,
    statuses,
)
from tests.processes import Server, Valkey


@pytest.fixture(scope="module")
def server(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("four-workers") / "out"
    with Server(output, REDIS_URL=valkey.url, WORKERS="4") as server:
        yield server


@pytest.mark.parametrize("check", [check_charges, check_holds, check_idempotency, check_window])
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


# The limit and its clock


@pytest.fixture
def limited(api: Api) -> User:
    return login(api, rate_limit=5, rate_limit_window=60)[0]


def set_admissions(valkey: Valkey, user: User, ages_ms: Sequence[int]) -> None:
    """Rewrites the times of the admitted requests: how long ago each was, the newest first."""
    seconds, micros = valkey.client.time()
    now = seconds * 1000 + micros // 1000
    key = f"{{user:{user.user_id}}}:rate"
    valkey.client.delete(key)
    valkey.client.rpush(key, *(now - age for age in ages_ms))


def test_the_limit_counts_one_window_and_says_when_it_ends(valkey: Valkey, limited: User) -> None:
    set_admissions(valkey, limited, [100, 100, 100, 100, 60_001])
    admitted = limited.charge()
    assert admitted.status_code == 200
    assert admitted.headers["ratelimit-policy"] == '"requests";q=5;w=60'
    assert admitted.headers["ratelimit"] == '"requests";r=0;t=60'
    set_admissions(valkey, limited, [100, 100, 100, 100, 30_050])
    refused = limited.charge()
    assert refused.status_code == 429
    assert refused.json() == {"error": "Too Many Requests"}
    assert refused.headers["retry-after"] == "30"
    assert refused.headers["ratelimit"] == '"requests";r=0;t=30'
    assert limited.balance()["tokensUsed"] == 1


def test_a_clock_that_went_back(valkey: Valkey, limited: User) -> None:
    set_admissions(valkey, limited, [-900] * 5)
    assert limited.charge().status_code == 429
    set_admissions(valkey, limited, [-900] * 4)
    assert [limited.charge().status_code for _ in range(2)] == [200, 429]
    set_admissions(valkey, limited, [-60_000] * 5)
    assert [limited.charge().status_code for _ in range(6)] == [200] * 5 + [429]


# Idempotency


def age_replies(valkey: Valkey, user: User, most: int | None = None) -> None:
    """Lets the first `most` kept replies (default: all), and what is said of them, expire."""
    key = f"{{user:{user.user_id}}}:once"
    kept: dict[str, str] = valkey.client.hgetall(key)  # type: ignore[assignment]
    replies = [field for field in kept if field != "sweep"][:most]
    aged: dict[Any, Any] = {
        field: json.dumps([1, *json.loads(kept[field])[1:]]) for field in replies
    }
    valkey.client.hset(key, mapping=aged)
    if "sweep" in kept:
        valkey.client.hset(key, "sweep", "1")


async def test_a_user_has_at_most_1000_live_keys(api: Api, server: Server, valkey: Valkey) -> None:
    (user,) = login(api, tokens=2_000)
    async with Load(server.url) as load:
        answers = await asyncio.gather(
            *(load.charge(user, 1, **{"Idempotency-Key": f"key-{n}"}) for n in range(1_010))
        )
    assert statuses(answers) == {200: 1_000, 429: 10}
    assert user.balance()["tokensLeft"] == 1_000
    full = user.charge(1, **{"Idempotency-Key": "one-more"})
    assert full.status_code == 429
    assert 86_300 < int(full.headers["retry-after"]) <= 86_400
    assert user.charge().json() == {"tokensLeft": 999}  # without a key

    age_replies(valkey, user, most=1)
    codes = [user.charge(1, **{"Idempotency-Key": f"more-{n}"}).status_code for n in range(2)]
    assert codes == [200, 429]
    age_replies(valkey, user)
    assert user.charge(1, **{"Idempotency-Key": "key-1"}).json() == {"tokensLeft": 997}
    assert valkey.client.hlen(f"{{user:{user.user_id}}}:once") <= 2
    replayed = user.charge(1, **{"Idempotency-Key": "key-1"})
    assert replayed.json() == {"tokensLeft": 997}
    assert replayed.headers["idempotent-replayed"] == "true"


def test_any_number_of_expired_keys_is_swept(api: Api, valkey: Valkey) -> None:
    """Those of grants are not capped."""
    (user,) = login(api, tokens=2)
    key = f"{{user:{user.user_id}}}:once"
    valkey.client.hset(key, mapping={f"grant:{n}": "[1,0,0]" for n in range(9_000)})
    assert user.charge(1, **{"Idempotency-Key": "a"}).json() == {"tokensLeft": 1}
    assert valkey.client.hlen(key) == 1
