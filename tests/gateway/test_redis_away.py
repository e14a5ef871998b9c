"""Redis stalls while a call is under way: it is charged once all the same, and counted once."""

from collections.abc import Iterator

import httpx
import pytest

from tests.api import User
from tests.doubles import Answer, Double
from tests.gateway.asking import PROTOCOLS, ask, data_of, streaming, used, user_at
from tests.metrics.scrape import scrape
from tests.processes import Server, Valkey, eventually
from tests.redis_link import RedisLink

TIMEOUT = 0.3
A_SCRIPT = b"EVALSHA"


@pytest.fixture(scope="module")
def link(valkey: Valkey) -> Iterator[RedisLink]:
    with RedisLink(valkey) as link:
        yield link


@pytest.fixture(scope="module")
def server(link: RedisLink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its way to Redis is `link`."""
    settings = {"REDIS_URL": link.redis_url, "REDIS_TIMEOUT": str(TIMEOUT)}
    output = tmp_path_factory.mktemp("redis-away") / "out"
    with Server(output, wait=True, ALLOW_PRIVATE_UPSTREAMS="1", **settings) as server:
        yield server


@pytest.fixture
def client(link: RedisLink, server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=20, verify=False) as client:
        yield client
        link.release()
        eventually(lambda: is_back(client))


def is_back(client: httpx.Client) -> bool:
    return client.get("/readyz").status_code == 200


def outcome(client: httpx.Client, user: User) -> tuple[float, float]:
    """The user's calls that completed, and their tokens."""
    scraped, labels = scrape(client), {"tenant": user.api.tenant_id, "outcome": "completed"}
    names = ("vibe_upstream_calls_total", "vibe_upstream_tokens_total")
    calls, tokens = (scraped.value(name, **labels) for name in names)
    return calls, tokens


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_that_ends_meanwhile_is_charged_and_counted_once(
    client: httpx.Client, link: RedisLink, double: Double, protocol: str
) -> None:
    prompt = double.script("x", Answer(stop_at=3))
    user = user_at(client, double.url, protocol)
    with streaming(user, prompt, protocol) as reply:
        events = data_of(reply.iter_lines())
        next(events)
        link.hold()
        double.release("x")
        # The end is not kept from the client, though the first try to settle has failed.
        assert list(events)
    retries = scrape(client).value("vibe_settle_retries_total")
    eventually(lambda: scrape(client).value("vibe_settle_retries_total") > retries)
    link.release()
    eventually(lambda: is_back(client))
    assert used(user) == 25
    assert [op for op, _, _ in user.changes()] == ["grant", "hold", "settle"]
    assert outcome(client, user) == (1, 25)
    assert scrape(client).value("vibe_open_streams") == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_a_hold_whose_outcome_is_unknown_is_released(
    client: httpx.Client, link: RedisLink, double: Double, streamed: bool
) -> None:
    """Nothing is asked of the provider, and the tokens go back long before the deadline."""
    user = user_at(client, double.url)
    user.balance()
    link.hold(A_SCRIPT)
    refused = ask(user, "Hi", stream=streamed)
    assert refused.status_code == 503
    link.release()
    eventually(lambda: is_back(client))
    eventually(lambda: len(user.ledger()) == 3)
    assert [op for op, _, _ in user.changes()] == ["grant", "hold", "release"]
    assert user.balance()["tokensHeld"] == 0
    assert double.calls() == []
