"""What is exact whatever the concurrency, on any arrangement of Redis.

Each check is given `loads`, the ways to the servers (of `each_worker`, or one Load for each URL),
and a tenant, whose config it replaces. It asks over HTTP alone.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from uuid import uuid4

from tests.api import Api, User, config
from tests.callers import Answer, Load

LIMIT, WINDOW = 50, 2
PLENTY = {"tokens": 1_000_000, "rate_limit": 10_000, "rate_limit_window": 60}

Interval = tuple[float, float]
"""Of an admitted request: when it was sent and when its reply came; it was admitted between."""


def login(api: Api, users: int = 1, **anonymous: int) -> list[User]:
    """New users whose group is so."""
    assert api.put_config(config(anonymous=PLENTY | anonymous)).status_code == 200
    return [api.login() for _ in range(users)]


def statuses(answers: Sequence[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


async def check_charges(loads: Sequence[Load], api: Api, tokens: int = 1_000) -> None:
    """A balance pays exactly for what it has, of five times as many charges."""
    (user,) = login(api, tokens=tokens)
    answers = await asyncio.gather(*(_one_of(loads, n).charge(user) for n in range(5 * tokens)))
    assert statuses(answers) == {200: tokens, 402: 4 * tokens}
    paid = sorted(answer.body["tokensLeft"] for answer in answers if answer.status == 200)
    assert paid == list(range(tokens))
    balance = user.balance()
    assert (balance["tokensLeft"], balance["tokensUsed"]) == (0, tokens)


async def check_holds(loads: Sequence[Load], api: Api, each: int = 25) -> None:
    """40 balances back exactly what they have, of five times as many holds, and each of these is
    settled exactly once."""
    users, tokens = login(api, users=40, tokens=each), 40 * each
    bodies = {"tokens": 1, "ttl": 600}
    answers = await asyncio.gather(
        *(_post(_one_of(loads, n), users[n % 40], "/holds", bodies) for n in range(5 * tokens))
    )
    assert statuses(answers) == {201: tokens, 402: 4 * tokens}
    assert len({answer.body["holdId"] for answer in answers if answer.status == 201}) == tokens
    for user in users:
        balance = user.balance()
        assert (balance["tokensLeft"], balance["tokensHeld"], balance["tokensUsed"]) == (0, each, 0)

    # Each twice at once, to 1 and to 0: whichever comes first counts, for both.
    made = [(users[n % 40], a.body["holdId"]) for n, a in enumerate(answers) if a.status == 201]
    settled = await asyncio.gather(
        *(
            _post(_one_of(loads, n + tokens), user, f"/holds/{hold_id}/settle", {"tokens": tokens})
            for n, (user, hold_id) in enumerate(made)
            for tokens in (n % 2, 1 - n % 2)
        )
    )
    assert statuses(settled) == {200: 2 * tokens}
    used: Counter[str] = Counter()
    for (user, _), first, second in zip(made, settled[::2], settled[1::2], strict=True):
        assert first.body == second.body
        used[user.user_id] += first.body["tokens"]
    for user in users:
        balance, taken = user.balance(), used[user.user_id]
        assert (balance["tokensHeld"], balance["tokensUsed"]) == (0, taken)
        assert balance["tokensLeft"] == each - taken


async def check_limits(loads: Sequence[Load], api: Api) -> None:
    """A tenant's limits admit exactly what they say, whoever asks, and the last of it, too."""
    users = login(api, users=20)
    assert await _admitted_within(loads, api, users, 1, tokens_per_day=1_000) == 1_000
    # Of what those have left of it, two tokens are too few for one more.
    assert await _admitted_within(loads, api, users, 7, tokens_per_day=1_996) == 142
    minute = time.time() // 60
    admitted = await _admitted_within(loads, api, users, 1, calls_per_minute=500)
    assert admitted == 500 if time.time() // 60 == minute else 500 <= admitted <= 1_000


async def _admitted_within(
    loads: Sequence[Load], api: Api, users: Sequence[User], tokens: int, **limits: int
) -> int:
    """How many of 2,000 charges, while the tenant has these limits."""
    assert api.put_config(config(anonymous=PLENTY) | {"limits": limits}).status_code == 200
    before = sum(user.balance()["tokensUsed"] for user in users)
    answers = await asyncio.gather(
        *(_one_of(loads, n).charge(users[n % len(users)], tokens) for n in range(2_000))
    )
    found = statuses(answers)
    assert found[200] + found[429] == 2_000
    assert all(int(a.headers["retry-after"]) >= 1 for a in answers if a.status == 429)
    used = sum(user.balance()["tokensUsed"] for user in users) - before
    assert used == found[200] * tokens
    return found[200]


async def check_idempotency(loads: Sequence[Load], api: Api) -> None:
    """50 concurrent charges with one key are one charge, of which all get the reply."""
    (user,) = login(api, tokens=1_000, rate_limit=10)
    header = {"Idempotency-Key": str(uuid4())}
    answers = await asyncio.gather(
        *(_one_of(loads, n).charge(user, 7, **header) for n in range(50))
    )
    assert statuses(answers) == {200: 50}
    assert {answer.body["tokensLeft"] for answer in answers} == {993}
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    balance = user.balance()
    assert (balance["tokensLeft"], balance["rateRemaining"]) == (993, 9)


async def check_window(loads: Sequence[Load], api: Api, windows: int = 3) -> None:
    """A limit of 50 in any 2 s, under ten times the load and under bursts at random moments, for
    so many windows each."""
    users = login(api, users=2, rate_limit=LIMIT, rate_limit_window=WINDOW)
    steady, bursts = await asyncio.gather(
        _steadily(loads, users[0], windows), _in_bursts(loads, users[1], windows)
    )
    admitted, in_bursts = _admitted(steady), _admitted(bursts)
    used = len(admitted) / (LIMIT * windows)
    most = most_in_a_window(admitted, WINDOW), most_in_a_window(in_bursts, WINDOW)
    print(f"used {used:.2%} of the limit, {len(in_bursts)} admitted in bursts, at most {most}")
    assert max(most) <= LIMIT
    assert used >= 0.98


def most_in_a_window(admitted: Sequence[Interval], window: float) -> int:
    """The most requests that were certainly admitted within less than `window` seconds.

    A request counts only if all of its interval lies in the window, so this never says too many.
    """
    most = 0
    by_end = sorted(admitted, key=lambda interval: interval[1])
    for begin, _ in admitted:
        within = (sent for sent, received in by_end if received < begin + window)
        most = max(most, sum(sent >= begin for sent in within))
    return most


async def _steadily(loads: Sequence[Load], user: User, windows: int) -> list[Answer]:
    """Ten times what the limit allows, evenly."""
    start = time.monotonic()
    calls = []
    for number in range(10 * LIMIT * windows):
        calls.append(asyncio.create_task(_one_of(loads, number).charge(user)))
        await asyncio.sleep(start + (number + 1) * WINDOW / (10 * LIMIT) - time.monotonic())
    return await asyncio.gather(*calls)


async def _in_bursts(loads: Sequence[Load], user: User, windows: int) -> list[Answer]:
    """More than the limit at once, at random moments, which fall on any part of a window."""
    moments = random.Random(2)
    start = time.monotonic()
    calls = []
    for moment in sorted(moments.uniform(0, windows * WINDOW) for _ in range(3 * windows)):
        await asyncio.sleep(start + moment - time.monotonic())
        calls += [asyncio.create_task(_one_of(loads, n).charge(user)) for n in range(LIMIT + 10)]
    return await asyncio.gather(*calls)


def _admitted(answers: Sequence[Answer]) -> list[Interval]:
    assert set(statuses(answers)) <= {200, 429}
    return [(answer.sent, answer.received) for answer in answers if answer.status == 200]


def _one_of(loads: Sequence[Load], number: int) -> Load:
    return loads[number % len(loads)]


async def _post(load: Load, user: User, path: str, body: object) -> Answer:
    return await load.call("POST", f"/{user.api.tenant_id}{path}", user.headers, body)
