"""Requests that are refused have a rate of their own, and their replies are small."""

import os
import signal
from collections.abc import Iterator

import httpx
import orjson
import pytest

from tests.api import ADMIN, Api, User
from tests.metrics.scrape import Scrape, scrape
from tests.processes import Server, Valkey
from tests.raw import connect, exchange, parse, request

MOST_DETAILS = 20
MOST_FAULTS = 1_000
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def one_worker(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each worker counts for itself; addresses are those that the one proxy tells of."""
    output = tmp_path_factory.mktemp("one") / "out"
    with Server(output, REDIS_URL=valkey.url, PROXIES_COUNT="1") as server:
        yield server


@pytest.fixture
def user(one_worker: Server) -> Iterator[User]:
    with httpx.Client(base_url=one_worker.url, timeout=10) as client:
        yield Api.new_tenant(client).login()


def wrong(user: User, size: int = 0) -> httpx.Response:
    body = orjson.dumps({"tokens": 0, "x" * size: 1})
    url = f"/{user.api.tenant_id}/charges"
    return user.api.client.post(url, content=body, headers=user.headers)


def lock(user: User) -> None:
    """Sends wrong requests with large bodies until the next one is refused unread."""
    for _ in range(10):
        if wrong(user, MIB - 50).status_code == 429:
            return
    assert wrong(user).status_code == 429


def test_members_that_are_unknown_are_named_up_to_20(user: User) -> None:
    body = {f"a{number}": 0 for number in range(MOST_DETAILS + 5)}
    reply = user.api.post("/charges", body, user.headers)
    assert reply.status_code == 422
    assert len(reply.json()["details"]) == MOST_DETAILS
    assert reply.json()["more"] == 5
    body.popitem()
    body = dict(list(body.items())[:MOST_DETAILS])
    assert "more" not in user.api.post("/charges", body, user.headers).json()


@pytest.mark.parametrize("count", [1_000, 4_900, 131_000])
def test_a_refusal_is_smaller_than_the_request(user: User, count: int) -> None:
    body = orjson.dumps({f"{number:06}": 0 for number in range(count)})[:MIB]
    url = f"/{user.api.tenant_id}/charges"
    reply = user.api.client.post(url, content=body, headers=user.headers)
    assert reply.status_code in (400, 422)
    assert len(reply.content) < 2_000


@pytest.mark.parametrize(
    "config",
    [
        {"user_groups": {f"g{number}": {} for number in range(3_000)}},
        {"user_groups": {"g" * 50_000: {}, "anonymous": {"x" * 10_000: 1}}},
        {"providers": {"text": {"endpoints": {"e" * 50_000: {"url": 5, "models": 5}}}}},
        {"allowed_origins": [" "] * 3_000},
    ],
)
def test_a_config_with_many_faults(user: User, config: dict[str, object]) -> None:
    reply = user.api.put_config({"auth": {}, **config})
    assert reply.status_code == 422
    assert len(reply.json()["details"]) <= MOST_DETAILS
    assert len(reply.content) < 8_000


def test_hundreds_of_small_faults_are_no_flood(user: User) -> None:
    for _ in range(500):
        assert wrong(user).status_code == 422
    assert user.charge().status_code == 200


def test_a_flood_of_faults_is_429_before_the_body_is_read(user: User) -> None:
    lock(user)
    head = (
        f"POST /{user.api.tenant_id}/charges HTTP/1.1\r\nHost: test\r\n"
        f"Authorization: Bearer {user.api_key}\r\nContent-Length: 1000\r\n"
        "Expect: 100-continue\r\n\r\n"
    )
    with connect(str(user.api.client.base_url)) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 429")
    reply = user.api.get("/balance", user.headers)
    assert (reply.status_code, reply.json()) == (429, {"error": "Too Many Requests"})
    assert 0 < int(reply.headers["retry-after"]) <= 60
    reply = user.api.post("/v1/messages", {}, user.headers)
    assert (reply.status_code, reply.json()["error"]["type"]) == (429, "rate_limit_error")
    # Others are not meant.
    assert user.api.login().charge().status_code == 200
    assert user.api.get(f"/admin/users/{user.user_id}", ADMIN).json()["tokensUsed"] == 0


def test_a_replay_is_never_turned_away(user: User) -> None:
    key = {"Idempotency-Key": "a"}
    first = user.charge(5, **key)
    lock(user)
    again = user.charge(5, **key)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    # A replay has no large body.
    reply = user.api.post("/charges", {"tokens": 5, "x" * 20_000: 1}, {**user.headers, **key})
    assert reply.status_code == 429


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_provider_call_is_no_replay(user: User, path: str) -> None:
    lock(user)
    for key in ("a", "b"):
        headers = {**user.headers, "Idempotency-Key": key}
        assert user.api.post(path, {"model": 5}, headers).status_code == 429


def test_refusals_of_the_script_are_no_faults(user: User) -> None:
    for _ in range(MOST_FAULTS + 100):
        assert user.charge(101).status_code == 402
    assert user.charge().status_code == 200


@pytest.mark.parametrize("status", [401, 402])
def test_they_are_where_much_was_read_for_them(user: User, status: int) -> None:
    """Which must not be cheaper than to be served: of another tenant's key, or without tokens."""
    api = user.api if status == 402 else Api.new_tenant(user.api.client)
    url, body = f"/{api.tenant_id}/charges", b'{"tokens": 101}' + b" " * 200_000
    for _ in range(50):
        reply = api.client.post(url, content=body, headers=user.headers)
        if reply.status_code == 429:
            break
        assert reply.status_code == status
    assert reply.json() == {"error": "Too Many Requests"}
    assert user.api.login().charge().status_code == 200


def test_an_address_is_told_429_instead_of_401(user: User) -> None:
    """Whoever has a key does not notice, though the address is the same."""
    ours, others = {"X-Forwarded-For": "198.51.100.7"}, {"X-Forwarded-For": "198.51.100.8"}
    wrong_key = {"Authorization": "Bearer no"}
    told = 0
    while (reply := user.api.get("/balance", {**ours, **wrong_key})).status_code == 401:
        told += 1
        assert told < 4 * MOST_FAULTS
    assert told >= MOST_FAULTS
    assert (reply.status_code, reply.json()) == (429, {"error": "Too Many Requests"})
    assert 0 < int(reply.headers["retry-after"]) <= 60
    assert user.api.get("/balance", {**ours, **user.headers}).status_code == 200
    assert user.api.get("/balance", {**others, **wrong_key}).status_code == 401


def test_a_body_in_tiny_chunks_is_refused(user: User) -> None:
    """Each costs as much as a large one."""
    head = (
        f"POST /{user.api.tenant_id}/charges HTTP/1.1\r\nHost: test\r\n"
        f"Authorization: Bearer {user.api_key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    for chunks, size, status in ((900, 1, 200), (2_000, 1, 400), (2_000, 200, 200)):
        body = (b"%x\r\n%b\r\n" % (size, b" " * size)) * chunks + b"2\r\n{}\r\n0\r\n\r\n"
        with connect(str(user.api.client.base_url)) as connection:
            connection.sendall(head + body)
            assert connection.recv(65536).startswith(b"HTTP/1.1 %d" % status)


def test_a_login_keeps_no_body(user: User, one_worker: Server) -> None:
    memory = one_worker.resident()
    head = (
        f"POST /{user.api.tenant_id}/auth/anonymous HTTP/1.1\r\nHost: test\r\n"
        f"Content-Length: {MIB}\r\n\r\n"
    ).encode()
    connections = [connect(one_worker.url) for _ in range(60)]
    try:
        for connection in connections:
            connection.sendall(head + b" " * (MIB - 1))
        assert one_worker.resident() - memory < 30 * MIB
    finally:
        for connection in connections:
            connection.close()
    (reply,) = exchange(
        one_worker.url, head.replace(b"Host", b"Connection: close\r\nHost") + b" " * MIB
    )
    assert reply.status == 200


def test_requests_that_came_together_leave_others_their_turn(
    user: User, one_worker: Server
) -> None:
    """Thousands at once, none of which waits for anything: the next one, which came with them, says
    how many have been answered before it."""
    count, closing = 3_000, b"Connection: close"
    (worker,) = one_worker.worker_pids()
    before = answered(scrape(user.api.client))
    with connect(one_worker.url) as many, connect(one_worker.url) as other:
        os.kill(worker, signal.SIGSTOP)
        many.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" * count)
        other.sendall(request(b"GET /metrics HTTP/1.1", closing))
        os.kill(worker, signal.SIGCONT)
        received = b""
        while portion := other.recv(65536):
            received += portion
    (reply,) = parse(received)
    assert answered(Scrape(reply.body.decode())) - before < count


def answered(found: Scrape) -> float:
    return found.value("vibe_requests_total", route="GET /livez")
