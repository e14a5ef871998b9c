"""What an operator sees of provider calls: by tenant, endpoint and outcome, however they end."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from server import errors
from server.providers import errors as provider_errors
from tests.api import Api
from tests.doubles import Answer, Double
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import PROTOCOLS, ask, streaming, turns, used, user_at, user_of
from tests.metrics.scrape import scrape
from tests.processes import Server, Valkey, eventually, free_port

CALLS = "vibe_upstream_calls_total"
TOKENS = "vibe_upstream_tokens_total"
RICH = {"tokens": 1_000, "rate_limit": 100, "rate_limit_window": 60}


@pytest.fixture(scope="module")
def service(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Of this file's own: only so many tenants of a server are labels."""
    output = tmp_path_factory.mktemp("metrics") / "out"
    with Server(output, REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1") as service:
        yield service


@pytest.fixture
def client(service: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=20, verify=False) as client:
        yield client


def are_open(client: httpx.Client, count: int) -> bool:
    """Are there so many streams, and so many holds?"""
    scraped = scrape(client)
    return all(scraped.value(f"vibe_open_{name}") == count for name in ("streams", "holds"))


@pytest.fixture(autouse=True)
def nothing_stays_open(client: httpx.Client) -> Iterator[None]:
    yield
    eventually(lambda: are_open(client, 0))


def outcomes(client: httpx.Client, tenant: str, name: str = CALLS) -> dict[tuple[str, str], float]:
    """By endpoint and outcome."""
    return {
        (labels["endpoint"], labels["outcome"]): value
        for (found, items), value in scrape(client).values.items()
        if found == name and (labels := dict(items))["tenant"] == tenant
    }


# An answer, the outcome whole, and the outcome in a stream.
ENDINGS: dict[str, tuple[Answer, str, str]] = {
    "completed": (Answer(), "completed", "completed"),
    "no usage": (Answer(usage="absent"), "completed", "completed"),
    "refused": (Answer(status=400), "provider_refused", "provider_refused"),
    "key refused": (Answer(status=401), "provider_auth_error", "provider_auth_error"),
    "quota": (Answer(status=402), "provider_quota", "provider_quota"),
    "busy": (Answer(status=429), "provider_busy", "provider_busy"),
    "failed": (Answer(status=500), "provider_error", "provider_error"),
    "cut before the head": (Answer(cut_at=0), "provider_error", "provider_error"),
    "cut": (Answer(cut_at=3), "provider_error", "provider_error"),
    "no finish": (Answer(without_finish=True), "completed", "provider_error"),
    "error event": (Answer(error_at=3), "completed", "provider_error"),
    "no JSON": (Answer(raw_body=b"no JSON"), "provider_error", "provider_error"),
}


def test_every_fault_of_a_provider_is_among_the_endings() -> None:
    found = {outcome for _, *outcomes in ENDINGS.values() for outcome in outcomes}
    found.add("provider_timeout")  # of test_no_answer_in_time
    faults: list[type[errors.Refusal]] = [
        provider_errors.ProviderError,
        *provider_errors.ProviderError.__subclasses__(),
    ]
    assert {fault.label for fault in faults} <= found


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ENDINGS)
def test_each_ending_is_counted_once(
    client: httpx.Client, double: Double, name: str, protocol: str, streamed: bool
) -> None:
    answer, *expected = ENDINGS[name]
    prompt = double.script("x", answer)
    user = user_at(client, double.url, protocol)
    for _ in range(2):
        ask(user, prompt, protocol, stream=streamed)
    tokens = used(user)
    outcome = expected[streamed]
    tenant = user.api.tenant_id
    eventually(lambda: outcomes(client, tenant) == {("main", outcome): 2})
    charged = {("main", outcome): tokens} if tokens else {}
    assert outcomes(client, tenant, TOKENS) == charged
    assert scrape(client).value("vibe_tokens_total", tenant=tenant, outcome="called") == tokens


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_streams_and_holds_that_are_open(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    prompt = double.script("x", Answer(stop_at=2))
    user = user_at(client, double.url, protocol)
    with streaming(user, prompt, protocol) as one, streaming(user, prompt, protocol) as two:
        # Kept, as a reader that is dropped takes its connection with it.
        readers = [reply.iter_lines() for reply in (one, two)]
        assert all(next(lines) for lines in readers)
        eventually(lambda: are_open(client, 2))
    eventually(lambda: outcomes(client, user.api.tenant_id) == {("main", "client_gone"): 2})
    assert outcomes(client, user.api.tenant_id, TOKENS) == {("main", "client_gone"): used(user)}


def test_which_operation_an_endpoint_was_asked_for(client: httpx.Client, double: Double) -> None:
    """Whatever the client has asked for."""
    speaking = {"responses_url": f"{double.url}/v1/responses"}
    user = user_of(client, {"both": endpoint(double.url, **speaking), "main": endpoint(double.url)})
    for model in ("both/openai-model", "main/openai-model"):
        assert ask(user, "Hi", "responses", model=model).status_code == 200
    assert ask(user, "Hi", model="both/openai-model").status_code == 200
    found = scrape(client)
    tenant = {"tenant": user.api.tenant_id}
    for endpoint_, api in (("both", "responses"), ("both", "chat"), ("main", "chat")):
        assert found.value(CALLS, endpoint=endpoint_, api=api, **tenant) == 1
        assert found.value(TOKENS, endpoint=endpoint_, api=api, **tenant) == 25


def test_no_answer_in_time(hasty_client: httpx.Client, double: Double) -> None:
    double.script("whole", Answer(stop_at=0))
    double.script("stream", Answer(stop_at=3))
    user = user_at(hasty_client, double.url)
    ask(user, "#whole")
    ask(user, "#stream", stream=True)
    tenant = user.api.tenant_id
    eventually(lambda: outcomes(hasty_client, tenant) == {("main", "provider_timeout"): 2})


def test_each_endpoint_that_was_tried_is_counted(
    client: httpx.Client, double: Double, other: Double
) -> None:
    double.script("x", Answer(status=503))
    endpoints: dict[str, dict[str, Any]] = {
        "first": endpoint(f"http://127.0.0.1:{free_port()}"),
        "second": endpoint(double.url),
        "third": endpoint(other.url),
    }
    user = user_of(client, endpoints, ["second", "third"])
    assert ask(user, "#x").status_code == 200
    assert outcomes(client, user.api.tenant_id) == {
        ("first", "provider_error"): 1,
        ("second", "provider_error"): 1,
        ("third", "completed"): 1,
    }
    assert outcomes(client, user.api.tenant_id, TOKENS) == {("third", "completed"): 25}


def test_a_call_that_is_not_made_is_not_counted(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url, tokens=1)
    before = scrape(client)
    assert ask(user, "Hi").status_code == 402
    assert ask(user, "Hi", n="many").status_code == 400
    after = scrape(client)
    assert outcomes(client, user.api.tenant_id) == {}
    for status, reason in ((402, "payment_required"), (400, "unsupported")):
        labels = {"status": status, "reason": reason}
        name = "vibe_refusals_total"
        assert after.value(name, **labels) - before.value(name, **labels) == 1


def test_what_is_used_beyond_the_balance(client: httpx.Client, double: Double) -> None:
    prompt = double.script("x", Answer(input_tokens=5_000))
    user = user_at(client, double.url, tokens=1_000)
    assert ask(user, prompt).status_code == 200
    overrun = scrape(client).value("vibe_overrun_tokens_total", tenant=user.api.tenant_id)
    assert overrun == 5_005 - 1_000


def test_calls_have_a_duration(client: httpx.Client, double: Double) -> None:
    prompt = double.script("x", Answer(delay=0.2))
    user = user_of(client, {"timed": endpoint(double.url)})
    name = "vibe_upstream_call_duration_seconds"
    before = scrape(client)
    ask(user, prompt)
    ask(user, prompt, stream=True)
    after = scrape(client)
    counts = [one.value(f"{name}_count", endpoint="timed") for one in (before, after)]
    sums = [one.value(f"{name}_sum", endpoint="timed") for one in (before, after)]
    assert counts[1] - counts[0] == 2
    assert sums[1] - sums[0] >= 0.4


def test_each_api_has_its_own(client: httpx.Client) -> None:
    """Those that cost nothing, too."""
    with Double() as double:
        main = endpoint(double.url, "anthropic", moderations_url=f"{double.url}/v1/moderations")
        url = f"{double.url}/v1/responses"
        keeps = endpoint(double.url, responses_url=url, default_model="m", allow=["store"])
        config = text_config({"main": main, "keeps": keeps}, anonymous=RICH)
        vectors = {"url": f"{double.url}/v1/embeddings", "api_key": "sk", "default_model": "small"}
        config["providers"]["embeddings"] = {"endpoints": {"vectors": vectors}}
        user = Api.new_tenant(client, config).login()
        bodies: dict[str, dict[str, Any]] = {
            "messages": {"messages": turns("Hi"), "max_tokens": 9},
            "messages/count_tokens": {"messages": turns("Hi")},
            "embeddings": {"input": "Hi"},
            "moderations": {"input": "Hi"},
        }
        for path, body in bodies.items():
            reply = user.api.post(f"/v1/{path}", body, user.headers)
            assert reply.status_code == 200, reply.text
        made = user.api.post("/v1/responses", {"input": "Hi", "model": "keeps/m"}, user.headers)
        kept = user.api.get(f"/v1/responses/{made.json()['id']}", user.headers)
        assert kept.status_code == 200, kept.text
    counted = {
        (labels["endpoint"], labels["api"]): value
        for (name, items), value in scrape(client).values.items()
        if name == CALLS and (labels := dict(items))["tenant"] == user.api.tenant_id
    }
    assert counted == {
        ("main", "messages"): 1,
        ("main", "count_tokens"): 1,
        ("main", "moderations"): 1,
        ("keeps", "responses"): 1,
        ("keeps", "kept_responses"): 1,
        ("vectors", "embeddings"): 1,
    }
