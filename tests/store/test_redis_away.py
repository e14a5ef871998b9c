"""Redis stalls, dies, refuses or cuts connections: fail closed, fast, never twice, and back."""

import asyncio
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import httpx
import pytest
import redis

from tests.api import ADMIN, Api, User
from tests.callers import Answer, Load
from tests.processes import Server, Valkey, eventually, free_port
from tests.store.stalling_redis import StallingRedis

TIMEOUT = 0.5
SLACK = 0.7
"""What a noisy machine may add to a time limit, s."""
BACK_SECONDS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("away")


def start_valkey(folder: Path, port: int) -> Valkey:
    options = {"appendonly": "yes", "appendfsync": "always", "busy_reply_threshold": "10"}
    return Valkey(folder / "valkey", port, **options)


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture
def valkey(folder: Path, port: int) -> Iterator[Valkey]:
    """One for each test, as each may end it; always on the same port, with the same data."""
    with start_valkey(folder, port) as valkey:
        yield valkey


@pytest.fixture(scope="module")
def server(folder: Path, port: int) -> Iterator[Server]:
    """One worker, so that each request is a later one for the connection to Redis."""
    settings = {"REDIS_URL": f"redis://127.0.0.1:{port}", "REDIS_TIMEOUT": str(TIMEOUT)}
    with start_valkey(folder, port):
        server = Server(folder / "server.out", wait=True, **settings)
    with server:
        yield server
        assert "Traceback" not in server.text()


@pytest.fixture
def user(client: httpx.Client, valkey: Valkey) -> User:
    eventually(lambda: client.get("/readyz").status_code == 200, BACK_SECONDS)
    api = Api.new_tenant(client)
    # A Redis that had no memory left a moment ago makes the server refuse logins for a while.
    eventually(lambda: api.post("/auth/anonymous").status_code == 200, BACK_SECONDS)
    user = api.login()
    # Which asks on another connection, that may come back later.
    eventually(lambda: user.grant({"tokens": 9_900}).status_code == 200, BACK_SECONDS)
    return user


def is_unavailable(answer: Answer) -> bool:
    return (
        answer.status == 503
        and answer.body == {"error": "Service Unavailable"}
        and answer.headers["retry-after"] == "1"
    )


async def until_served(load: Load, user: User) -> None:
    """Service is back, by itself, in time."""
    deadline = time.monotonic() + BACK_SECONDS
    while (answer := await load.charge(user)).status != 200:
        assert is_unavailable(answer)
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_redis_that_stalls(user: User, server: Server, valkey: Valkey) -> None:
    async with Load(server.url) as load:
        valkey.send_signal(signal.SIGSTOP)
        try:
            header = [{"Idempotency-Key": f"stalled-{n}"} for n in range(32)]
            first = await asyncio.gather(*(load.charge(user, 1, **once) for once in header))
            assert all(map(is_unavailable, first))
            assert max(answer.seconds for answer in first) < TIMEOUT + SLACK
            later = [await load.charge(user) for _ in range(20)]
            assert all(map(is_unavailable, later))
            assert max(answer.seconds for answer in later) < TIMEOUT / 2  # at once, each of them
            ready, alive = await load.call("GET", "/readyz"), await load.call("GET", "/livez")
            assert (ready.status, ready.body) == (503, {"status": "unavailable"})
            assert (alive.status, alive.body) == (200, {"status": "ok"})
        finally:
            valkey.send_signal(signal.SIGCONT)
        await until_served(load, user)
        # What had been sent may have been done. Repeated with its key it is done once in all.
        again = await asyncio.gather(*(load.charge(user, 1, **once) for once in header))
        assert {answer.status for answer in again} == {200}
        assert user.balance()["tokensLeft"] == 10_000 - len(header) - 1


async def test_a_redis_that_is_killed_and_started_again(
    user: User, server: Server, valkey: Valkey, folder: Path
) -> None:
    async with Load(server.url) as load:
        assert (await load.charge(user, 10)).status == 200
        valkey.send_signal(signal.SIGKILL)
        valkey.wait()
        answers = await asyncio.gather(*(load.charge(user) for _ in range(32)))
        assert all(map(is_unavailable, answers))
        assert max(answer.seconds for answer in answers) < TIMEOUT + SLACK
        assert (await load.call("GET", "/livez")).status == 200
        assert (await load.call("GET", "/readyz")).status == 503
        with start_valkey(folder, valkey.port):
            await until_served(load, user)
            assert user.balance()["tokensLeft"] == 10_000 - 10 - 1


async def test_connections_that_are_cut(user: User, server: Server, valkey: Valkey) -> None:
    async with Load(server.url) as load:
        for _ in range(20):
            valkey.client.client_kill_filter(_type="normal", skipme=True)
            await until_served(load, user)
        calls = [asyncio.create_task(load.charge(user)) for _ in range(3_000)]
        while not all(call.done() for call in calls):
            await asyncio.to_thread(valkey.client.client_kill_filter, _type="normal", skipme=True)
            await asyncio.sleep(0.02)
        answers = await asyncio.gather(*calls)
    assert all(answer.status == 200 or is_unavailable(answer) for answer in answers)
    # The server may not have noticed the last cut yet.
    eventually(lambda: user.api.get("/balance", user.headers).status_code == 200, BACK_SECONDS)
    charged = 20 + sum(answer.status == 200 for answer in answers)
    unknown = sum(answer.status == 503 for answer in answers)
    print(f"{unknown} of {len(answers)} charges unanswered")
    assert charged <= user.balance()["tokensUsed"] <= charged + unknown


# What makes Redis refuse writes, with this error, and what ends that.
REFUSALS = {
    "OOM": (["CONFIG SET maxmemory 1"], ["CONFIG SET maxmemory 0"]),
    "NOREPLICAS": (["CONFIG SET min-replicas-to-write 1"], ["CONFIG SET min-replicas-to-write 0"]),
    "READONLY": (["REPLICAOF 127.0.0.1 1"], ["REPLICAOF NO ONE"]),
    "MASTERDOWN": (
        ["CONFIG SET replica-serve-stale-data no", "REPLICAOF 127.0.0.1 1"],
        ["CONFIG SET replica-serve-stale-data yes", "REPLICAOF NO ONE"],
    ),
    # A snapshot fails whose file is to take the place of a folder.
    "MISCONF": (
        ["CONFIG SET save '3600 1'", "BGSAVE"],
        ["CONFIG SET save ''"],
    ),
}


def configure(valkey: Valkey, commands: list[str]) -> None:
    for command in commands:
        valkey.client.execute_command(*shlex.split(command))


def refuses_with(valkey: Valkey, error: str) -> bool:
    for ask in (("GET", "probe"), ("SET", "probe", "1")):
        with suppress(redis.RedisError):
            valkey.client.execute_command(*ask)
    return f"errorstat_{error}" in valkey.client.info("errorstats")


@pytest.mark.parametrize("error", REFUSALS)
async def test_a_redis_that_refuses(
    user: User, server: Server, valkey: Valkey, folder: Path, error: str
) -> None:
    (folder / "valkey" / "dump.rdb").mkdir(exist_ok=True)
    broken, mended = REFUSALS[error]
    valkey.client.config_resetstat()
    configure(valkey, broken)
    eventually(lambda: refuses_with(valkey, error))
    async with Load(server.url) as load:
        try:
            answers = await asyncio.gather(*(load.charge(user) for _ in range(32)))
            # Only what Redis does not know is sent again, as text.
            assert "cmdstat_eval" not in valkey.client.info("commandstats")
        finally:
            configure(valkey, mended)
        assert all(map(is_unavailable, answers))
        await until_served(load, user)
    assert user.balance()["tokensLeft"] == 9_999


async def test_a_redis_that_is_busy(user: User, server: Server, valkey: Valkey) -> None:
    """Another program's script runs for long."""

    def run_for_long() -> None:
        with suppress(redis.ResponseError):
            valkey.client.eval("while true do end", 0)

    def is_busy() -> bool:
        try:
            return not valkey.client.ping()
        except redis.ResponseError as error:
            return "BUSY" in str(error)

    script = Thread(target=run_for_long)
    script.start()
    try:
        eventually(is_busy)
        async with Load(server.url) as load:
            answers = await asyncio.gather(*(load.charge(user) for _ in range(32)))
    finally:
        valkey.client.script_kill()
        script.join()
    assert all(map(is_unavailable, answers))
    async with Load(server.url) as load:
        await until_served(load, user)
    assert user.balance()["tokensLeft"] == 9_999


def has_config(client: httpx.Client) -> bool:
    """A GET of Redis, and no script, was answered."""
    return client.get("/abc/admin/config", headers=ADMIN).status_code == 200


def test_a_charge_is_sent_once(tmp_path: Path) -> None:
    """Its reply never comes, so whether it was done is unknown: it must not be sent again."""
    with StallingRedis() as stalling:
        Thread(target=stalling.serve_forever, daemon=True).start()
        url = f"redis://127.0.0.1:{stalling.server_address[1]}"
        with (
            Server(tmp_path / "out", REDIS_URL=url, REDIS_TIMEOUT=str(TIMEOUT)) as server,
            httpx.Client(base_url=server.url, timeout=10) as client,
        ):
            for sent in range(1, 4):
                begin = time.monotonic()
                reply = client.post("/abc/charges", headers={"X-API-Key": "a"})
                assert time.monotonic() - begin < TIMEOUT + SLACK
                assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
                # The connection is there again: what is repeated would have come before this GET.
                eventually(lambda: has_config(client), BACK_SECONDS)
                assert len(stalling.scripts) == sent
        stalling.shutdown()
    assert len(stalling.scripts) == 3
