"""What goes back to a tenant's limits, and what does not."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.api import Api, User
from tests.callers import each_worker
from tests.metering.exactness import statuses
from tests.metering.limits import REFUSED, counted, held, limited, set_limits, used
from tests.processes import Server, Valkey, eventually
from tests.raw import connect
from tests.redis_link import RedisLink
from tests.stored import let_holds_expire, put, record


def rename_holds(valkey: Valkey, user: User, names: dict[str, str]) -> None:
    stored = record(valkey, user)
    stored["holds"] = {names[hold_id]: hold for hold_id, hold in stored["holds"].items()}
    put(valkey, user, stored)


async def test_a_settle_gives_back_at_any_worker(api: Api, server: Server) -> None:
    (user,) = limited(api, tokens_per_day=100)
    path = f"/{api.tenant_id}/holds"
    async with each_worker(server, 1) as loads:
        for number in range(6):
            one, other = loads[number % 2], loads[1 - number % 2]
            held = await one.call("POST", path, user.headers, {"tokens": 95})
            assert held.status == 201
            settle = f"{path}/{held.body['holdId']}/settle"
            for _ in range(2):
                settled = await other.call("POST", settle, user.headers, {"tokens": 1})
                assert settled.status == 200
        assert (await loads[0].charge(user, 94)).status == 200
        assert (await loads[1].charge(user, 1)).status == 429


def test_what_a_settle_takes_beyond_its_hold_counts(api: Api) -> None:
    (user,) = limited(api, tokens_per_day=100)
    hold_id = user.hold({"tokens": 10}).json()["holdId"]
    assert user.settle(hold_id, 85).json()["tokens"] == 85
    eventually(lambda: user.charge(16).json() == REFUSED)
    assert user.charge(15).status_code == 200
    assert user.charge(1).json() == REFUSED


def test_nothing_goes_back_to_another_day(api: Api, valkey: Valkey) -> None:
    (user,) = limited(api, tokens_per_day=100)
    hold_id = str(user.hold({"tokens": 90}).json()["holdId"])
    # As if it had been made on the other side of midnight.
    yesterday = hold_id[:-8] + f"{int(hold_id[-8:], 16) - 1:08x}"
    rename_holds(valkey, user, {hold_id: yesterday})
    assert user.settle(yesterday, 0).status_code == 200
    assert user.charge(11).json() == REFUSED
    set_limits(api, tokens_per_day=110)
    hold_id = str(user.hold({"tokens": 15}).json()["holdId"])
    rename_holds(valkey, user, {hold_id: yesterday})
    let_holds_expire(valkey, user)
    assert user.hold({"tokens": 5}).status_code == 201
    assert user.charge(1).json() == REFUSED


def test_nothing_goes_back_of_what_was_held_without_a_limit(api: Api, valkey: Valkey) -> None:
    (user,) = limited(api)
    holds = [str(user.hold({"tokens": 50}).json()["holdId"]) for _ in range(16)]
    # Their IDs are random, so that they can end like any other.
    names = {hold_id: f"{hold_id[:-1]}{n:x}" for n, hold_id in enumerate(holds)}
    rename_holds(valkey, user, names)
    set_limits(api, tokens_per_day=100)
    assert user.charge(100).status_code == 200
    for name in names.values():
        assert user.settle(name, 0).status_code == 200
    assert user.charge(1).json() == REFUSED


def test_who_lets_holds_expire_does_not_use_the_limit_up(api: Api, valkey: Valkey) -> None:
    """As much as one can hold at a time stays counted, however often one does it."""
    user, other = limited(api, users=2, tokens_per_day=2_500)
    for number in range(6):
        for _ in range(3):
            held = user.hold({"tokens": 300}, **{"Idempotency-Key": f"{number}"})
            assert held.status_code == 201, number
        assert user.hold({"tokens": 600}).status_code == 201
        let_holds_expire(valkey, user)
        assert user.balance()["tokensHeld"] == 0
    eventually(lambda: counted(valkey, api) == 900)
    assert other.charge(1_000).status_code == 200
    assert user.charge(600).status_code == 200
    assert user.charge(1).json() == REFUSED


async def test_what_is_idle_goes_back(api: Api, server: Server, valkey: Valkey) -> None:
    (user,) = limited(api, tokens_per_day=100_000, calls_per_minute=100_000)
    async with each_worker(server, 8) as loads:
        answers = await asyncio.gather(*(loads[n % 2].charge(user, 2) for n in range(400)))
        assert statuses(answers) == {200: 400}
        await loads[0].charge(user, 2)
    eventually(lambda: counted(valkey, api) == 802)


def _raw(user: User, path: str, body: bytes) -> bytes:
    lines = [
        f"POST /{user.api.tenant_id}{path} HTTP/1.1",
        "Host: test",
        f"Authorization: Bearer {user.api_key}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/charges", b'{"tokens": 3}'),
        ("/holds", b'{"tokens": 3}'),
        ("/holds", b'{"tokens": 300, "minimum": 1}'),
    ],
)
def test_whoever_leaves_uses_nothing_up_for_nothing(
    valkey: Valkey, tmp_path: Path, path: str, body: bytes
) -> None:
    """Their client is gone before the script of a request was sent, or while it runs."""
    with (
        RedisLink(valkey) as link,
        Server(tmp_path / "out", REDIS_URL=link.redis_url, REDIS_TIMEOUT="5") as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        api = Api.new_tenant(client)
        user, other = limited(api, users=2, tokens_per_day=100_000, calls_per_minute=100_000)
        for _ in range(20):  # until some is leased ahead
            assert other.charge(40).status_code == 200
        assert user.charge(997).status_code == 200
        link.hold()
        with connect(server.url) as leaving, connect(server.url) as staying:
            leaving.sendall(_raw(user, path, body))
            eventually(link.is_waiting)
            staying.sendall(_raw(other, "/charges", b""))
            passed = len(link.passed)
            link.let_one_through()
            eventually(lambda: len(link.passed) > passed and link.is_waiting())
        for _ in range(2):  # then the only worker has noticed
            assert client.get("/livez").status_code == 200
        link.release()
        eventually(lambda: counted(valkey, api) == used([user, other]) + held([user, other]))


def test_a_settle_that_fails_for_nobody_is_no_fault(valkey: Valkey, tmp_path: Path) -> None:
    """Its client has gone, and so has Redis."""
    with (
        RedisLink(valkey) as link,
        Server(tmp_path / "out", REDIS_URL=link.redis_url) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        (user,) = limited(Api.new_tenant(client), tokens_per_day=100)
        hold_id = user.hold({"tokens": 10}).json()["holdId"]
        link.hold(hold_id.encode())
        with connect(server.url) as leaving:
            leaving.sendall(_raw(user, f"/holds/{hold_id}/settle", b'{"tokens": 3}'))
            eventually(link.has_stopped)
        eventually(lambda: "Redis unavailable" in server.text())
        link.release()
        eventually(lambda: client.get("/readyz").status_code == 200)
        assert "[ERROR]" not in server.text()
