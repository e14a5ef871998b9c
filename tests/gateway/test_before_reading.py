"""Who may not call at all is told so before a large body is read, and before it is asked for."""

import httpx
import pytest

from tests.api import ADMIN
from tests.doubles import Double
from tests.endpoints import endpoint
from tests.gateway.asking import PATHS, PROTOCOLS, ask, user_at, user_of
from tests.gateway.uploads import MIB, chunk, upload
from tests.raw import parse

ASKED = 256 * 1024
SIZES = [ASKED + 1, 10 * MIB]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("size", SIZES)
def test_a_revoked_key_is_401(
    client: httpx.Client, double: Double, protocol: str, size: int
) -> None:
    user = user_at(client, double.url)
    with upload(user, size, protocol) as one:
        assert one.status == 100
    assert user.api.revoke(user.api_key).status_code == 204
    with upload(user, size, protocol) as one:
        assert one.status == 401


def test_a_key_of_another_tenant_is_401(client: httpx.Client, double: Double) -> None:
    user, other = user_at(client, double.url), user_at(client, double.url)
    user.api = other.api
    with upload(user, MIB) as one:
        assert one.status == 401


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_tokens_is_402(client: httpx.Client, double: Double, protocol: str) -> None:
    """Fewer than a token in and one out, at the endpoint that is cheapest."""
    endpoints = {"main": endpoint(double.url, weight=50), "other": endpoint(double.url, weight=7)}
    user = user_of(client, endpoints, tokens=14)
    with upload(user, MIB, protocol) as one:
        assert one.status == 100
    assert user.charge().status_code == 200
    with upload(user, MIB, protocol) as one:
        assert one.status == 402
        assert one.answer is not None
        assert one.answer.headers["ratelimit"].startswith('"requests";r=9999;')
        assert one.answer.headers["x-should-retry"] == "false"
    assert user.balance()["tokensHeld"] == 0


# What costs nothing counts as a request, too.
@pytest.mark.parametrize(
    ("protocol", "path"),
    [
        *((protocol, PATHS[protocol]) for protocol in PROTOCOLS),
        ("openai", "/v1/embeddings"),
        ("openai", "/v1/moderations"),
        ("anthropic", "/v1/messages/count_tokens"),
    ],
)
def test_over_the_rate_is_429(
    client: httpx.Client, double: Double, protocol: str, path: str
) -> None:
    user = user_at(client, double.url)
    config = user.api.get("/admin/config", ADMIN).json()["config"]
    config["user_groups"]["anonymous"]["rate_limit"] = 1
    assert user.api.put_config(config).status_code == 200
    user = user.api.login()
    for _ in range(3):  # which is no admission
        with upload(user, MIB, protocol, path) as one:
            assert one.status == 100
    assert ask(user, "Hi", protocol).status_code == 200
    with upload(user, MIB, protocol, path) as one:
        assert one.status == 429
        assert one.answer is not None
        assert 0 < int(one.answer.headers["retry-after"]) <= 60
        assert one.answer.headers["ratelimit"].startswith('"requests";r=0;')


def test_too_many_holds_is_429(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url)
    for _ in range(50):
        assert user.hold({"tokens": 1}).status_code == 201
    with upload(user, MIB) as one:
        assert one.status == 429


def test_what_comes_in_chunks_is_asked_about_when_it_is_large(
    client: httpx.Client, double: Double
) -> None:
    user = user_at(client, double.url, tokens=1)
    piece = chunk(b" " * (ASKED // 4))
    with upload(user, None) as one:
        assert one.status == 100, "it may be small"
        one.connection.sendall(4 * piece)
        one.connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            one.connection.recv(65536)
        one.connection.settimeout(5)
        one.connection.sendall(piece)
        (reply,) = parse(one.connection.recv(65536))
        assert reply.status == 402


def test_nobody_is_asked_twice_for_a_small_body(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url, tokens=1)
    with upload(user, ASKED) as one:
        assert one.status == 100
