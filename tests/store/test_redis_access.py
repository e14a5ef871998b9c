"""One connection to Redis shared by all requests of a worker: nobody notices the others."""

import asyncio
import json
import random
import socket
from collections.abc import Iterator
from threading import Event, Thread

import httpx
import pytest

from tests.api import ADMIN, Api, User, config
from tests.callers import Load, each_worker
from tests.processes import Server, Valkey

USERS = 30


@pytest.fixture(scope="module")
def server(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker, so that requests share flushes."""
    output = tmp_path_factory.mktemp("one-worker") / "out"
    with Server(output, REDIS_URL=valkey.url, WORKERS="1") as server:
        yield server


async def test_identical_gets_of_a_flush_are_sent_once(
    api: Api, server: Server, valkey: Valkey
) -> None:
    users = [api.login() for _ in range(USERS)]
    for user in users:
        user.charge()
    valkey.client.config_resetstat()
    async with Load(server.url) as load:
        answers = await asyncio.gather(*(load.charge(user) for user in users * 50))
    assert {answer.status for answer in answers} == {200}
    scripts = valkey.calls("evalsha")
    configs = valkey.calls("get") - scripts  # each script reads its user
    print(f"{scripts} charges took {configs} GETs of the config")
    assert scripts == len(answers)
    assert 0 < configs < scripts / 4


def send(server: Server, request: bytes) -> bytes:
    """A request as it is; the reply until the server closes."""
    host, port = server.url.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("status", "target", "header"),
    [
        (401, "POST /{tenant}/charges", "Authorization: Bearer a\xff"),
        (401, "POST /{tenant}/charges", "X-API-Key: a\xff"),
        (401, "GET /{tenant}/admin/config", "Authorization: Bearer a\xff"),
        (400, "POST /{tenant}/charges", "{key}\r\nIdempotency-Key: a\xff"),
        (200, "POST /{tenant}/charges", "{key}\r\nX-Request-ID: a\xff"),
        (200, "PUT /{tenant}/admin/config", '{admin}\r\nIf-Match: *\r\nIdempotency-Key: "\xff"'),
        (412, "PUT /{tenant}/admin/config", '{admin}\r\nIf-Match: "\xff"'),
        (200, "POST /{tenant}/auth/anonymous", "X-Forwarded-For: \xff\r\nOrigin: http://\xff"),
        (400, "GET /{tenant}\xff/balance", "{key}"),
        (400, "GET /{tenant}%ff/balance", "{key}"),
        (404, "GET /{tenant}/admin/users/a%ff", "{admin}"),
        (404, "DELETE /{tenant}/admin/keys/a%ff", "{admin}"),
    ],
)
async def test_what_cannot_be_encoded_fails_alone(
    api: Api, server: Server, status: int, target: str, header: str
) -> None:
    user = api.login()
    user.charge()
    filled = {
        "{tenant}": api.tenant_id,
        "{key}": f"Authorization: Bearer {user.api_key}",
        "{admin}": f"Authorization: {ADMIN['Authorization']}",
    }
    head = f"{target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{header}\r\n"
    for name, value in filled.items():
        head = head.replace(name, value)
    body = b""
    if target.startswith("PUT"):
        body = (
            b'{"config": {"auth": {}, "providers": {}, "user_groups": {"anonymous": {"tokens": 100'
        )
        body += b', "rate_limit": 10000, "rate_limit_window": 60}}}}'
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body

    neighbour = api.login()
    neighbour.grant({"tokens": 10_000})
    async with Load(server.url) as load:
        charges = [asyncio.create_task(load.charge(neighbour)) for _ in range(64 * 4)]
        replies = await asyncio.gather(*(asyncio.to_thread(send, server, request) for _ in "123"))
        answers = await asyncio.gather(*charges)
    assert [int(reply[9:12]) for reply in replies] == [status] * 3
    assert {answer.status for answer in answers} == {200}
    assert neighbour.balance()["tokensLeft"] == 10_100 - len(answers)


async def test_replies_are_not_mixed_up_by_callers_who_leave(api: Api, server: Server) -> None:
    """Each user has another balance, so each reply shows whose it is."""
    users = [api.login() for _ in range(USERS)]
    balances = [1_000_000 * (number + 1) for number in range(USERS)]
    for user, tokens in zip(users, balances, strict=True):
        user.grant({"tokens": tokens - 100})
    host, port = server.url.removeprefix("http://").rsplit(":", 1)
    moments = random.Random(3)
    leavers = api.login()

    async def leave() -> None:
        """A charge whose sender is gone up to 4 ms later."""
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /{api.tenant_id}/charges HTTP/1.1\r\nHost: test\r\n"
        writer.write(f"{head}X-API-Key: {leavers.api_key}\r\nContent-Length: 0\r\n\r\n".encode())
        await asyncio.sleep(moments.random() * 0.004)
        writer.transport.abort()

    async def stay(load: Load, user: User, tokens: int) -> None:
        for _ in range(20):
            tokens -= 3
            charged = await load.charge(user, 3)
            assert (charged.status, charged.body) == (200, {"tokensLeft": tokens})
            seen = await load.balance(user)
            assert (seen.body["userId"], seen.body["tokensLeft"]) == (user.user_id, tokens)

    async def leave_again_and_again() -> None:
        for _ in range(10):
            await leave()

    async with Load(server.url, connections=USERS) as load:
        await asyncio.gather(
            *(stay(load, *each) for each in zip(users, balances, strict=True)),
            *(leave_again_and_again() for _ in range(USERS)),
        )
    balance = leavers.balance()
    assert balance["tokensLeft"] + balance["tokensUsed"] == 100
    assert "[ERROR]" not in server.text()


async def test_a_script_that_redis_forgot_is_sent_again(
    api: Api, server: Server, valkey: Valkey
) -> None:
    user = api.login()
    valkey.client.script_flush()
    assert user.charge().json() == {"tokensLeft": 99}
    user.grant({"tokens": 9_901})
    done = Event()

    def flush() -> None:
        while not done.is_set():
            valkey.client.script_flush()

    flusher = Thread(target=flush)
    flusher.start()
    try:
        async with Load(server.url) as load:
            answers = await asyncio.gather(*(load.charge(user) for _ in range(1_000)))
    finally:
        done.set()
        flusher.join()
    left = sorted(answer.body["tokensLeft"] for answer in answers)
    assert left == list(range(9_000, 10_000))  # each charged exactly once
    assert user.balance()["tokensLeft"] == 9_000


def test_a_connection_that_was_closed_is_noticed_before_it_is_used(
    api: Api, client: httpx.Client, valkey: Valkey
) -> None:
    user = api.login()
    for left in range(99, 79, -1):
        valkey.client.client_kill_filter(_type="normal", skipme=True)
        assert client.get("/livez").status_code == 200  # its end has come to the server, too
        assert user.charge().json() == {"tokensLeft": left}


@pytest.mark.parametrize("stored", ["{", '{"auth": {}}', "[]", "\x00", ""])
def test_a_config_that_is_not_valid_is_503_for_its_tenant(
    client: httpx.Client, api: Api, server: Server, valkey: Valkey, stored: str
) -> None:
    user, other = api.login(), Api.new_tenant(client).login()
    valkey.client.set(f"tenant:{api.tenant_id}:config", stored)
    for _ in range(5):
        refused = user.charge()
        assert refused.status_code == 503
        assert refused.json() == {"error": "Service Unavailable"}
        assert other.charge().status_code == 200
    assert client.post(f"/{api.tenant_id}/auth/anonymous").status_code == 503
    lines = [line for line in server.text().splitlines() if api.tenant_id in line]
    assert sum(line.startswith("[ERROR]") for line in lines) == 1, lines
    assert api.put_config(config()).status_code == 200
    assert user.charge().json() == {"tokensLeft": 99}


async def test_a_change_of_the_config_holds_for_the_next_request(
    valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On each connection of each of four workers, by PUT and by a plain SET."""
    output = tmp_path_factory.mktemp("four-workers") / "out"
    with (
        Server(output, REDIS_URL=valkey.url, WORKERS="4") as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        api = Api.new_tenant(client)
        async with each_worker(server) as loads:
            for tokens in range(1, 31):
                group = {"tokens": tokens, "rate_limit": 10, "rate_limit_window": 60}
                if tokens % 2:
                    assert api.put_config(config(anonymous=group)).status_code == 200
                else:
                    text = json.dumps(config(anonymous=group))
                    valkey.client.set(f"tenant:{api.tenant_id}:config", text)
                path = f"/{api.tenant_id}/auth/anonymous"
                answers = await asyncio.gather(
                    *(loads[n % 4].call("POST", path) for n in range(64))
                )
                assert {answer.body["tokensLeft"] for answer in answers} == {tokens}
        loaded = server.text().count(f"[INFO] Loaded tenant config for {api.tenant_id}\n")
        assert loaded >= 4 * 30
