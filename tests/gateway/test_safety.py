"""Keys, prompts and replies stay where they belong, and calls go to public addresses only."""

from collections.abc import Iterator

import httpx
import pytest

from tests.api import Api
from tests.doubles import Answer, Double
from tests.endpoints import PROVIDER_KEY, endpoint, text_config
from tests.gateway.asking import (
    PROTOCOLS,
    ask,
    used,
    user_at,
    user_of,
)
from tests.gateway.raw_provider import HEAD, RawProvider, sending, whole
from tests.processes import Server

PROMPT_SECRET = "prompt-that-is-nobodys-business"
REPLY_SECRET = "reply-that-is-nobodys-business"
# How calls end, so that whatever is logged of them is.
ENDINGS = {
    "completed": Answer(pieces=[REPLY_SECRET]),
    "no usage": Answer(pieces=[REPLY_SECRET], usage="absent"),
    "refused": Answer(status=400),
    "key refused": Answer(status=401),
    "quota": Answer(status=429, code="insufficient_quota"),
    "failed": Answer(status=500),
    "redirected": Answer(redirect="http://127.0.0.1:1/v1"),
    "cut before the head": Answer(cut_at=0),
    "cut": Answer(pieces=[REPLY_SECRET] * 5, cut_at=3),
    "error event": Answer(pieces=[REPLY_SECRET] * 5, error_at=3),
    "no JSON": Answer(raw_body=REPLY_SECRET.encode()),
    "malformed usage": Answer(pieces=[REPLY_SECRET], malformed=REPLY_SECRET),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_log_has_no_keys_prompts_or_replies(
    client: httpx.Client, gateway: Server, double: Double, protocol: str
) -> None:
    begin = len(gateway.text())
    user = user_at(client, double.url, protocol)
    for number, answer in enumerate(ENDINGS.values()):
        prompt = double.script(f"ending-{number}", answer)
        for streamed in (False, True):
            ask(user, f"{PROMPT_SECRET} {prompt}", protocol, stream=streamed)
    unreachable = user_at(client, "http://127.0.0.1:1", protocol)
    ask(unreachable, PROMPT_SECRET, protocol)
    ask(user, PROMPT_SECRET, protocol, max_tokens="wrong")
    ask(user, [{"type": PROMPT_SECRET}], protocol, headers={"X-Request-ID": "the-last"})
    assert used(user) > 0
    logged = gateway.text()[begin:]
    assert "[WARN" in logged, "failures are logged"
    for secret in (PROMPT_SECRET, REPLY_SECRET, PROVIDER_KEY, user.api_key, unreachable.api_key):
        assert secret not in logged
    assert "Traceback" not in logged
    assert "[ERROR]" not in logged


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("streamed", [False, True])
def test_the_providers_key_never_reaches_the_user(
    client: httpx.Client, double: Double, protocol: str, streamed: bool
) -> None:
    user = user_at(client, double.url, protocol)
    for number, answer in enumerate(ENDINGS.values()):
        prompt = double.script(f"ending-{number}", answer)
        reply = ask(user, prompt, protocol, stream=streamed)
        for secret in (PROVIDER_KEY, "org-of-the-tenant", "sk-"):
            assert secret not in reply.text
            assert secret not in str(reply.headers)
    assert PROVIDER_KEY not in user.api.get("/ledger", user.headers).text
    assert PROVIDER_KEY not in user.api.get("/v1/models", user.headers).text


@pytest.mark.parametrize("said", [PROVIDER_KEY, "sk-proj-abcd1234", "org-abcdef123", "sk-a*****bc"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_the_tenants_is_cut_from_a_providers_words(
    client: httpx.Client, protocol: str, said: str
) -> None:
    message = f"Something with {said} is wrong."
    error = f'{{"type":"error","error":{{"type":"{said}","code":"{said}","message":"{message}"}}}}'
    with RawProvider(whole(error.encode(), "400 Bad Request")) as provider:
        user = user_at(client, provider.url, protocol)
        for asked in PROTOCOLS:
            reply = ask(user, "Hi", asked)
            assert reply.status_code == 400
            assert said not in reply.text
            assert reply.json()["error"]["message"] == "Something with *** is wrong."


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_the_tenants_is_cut_from_an_error_event(
    client: httpx.Client, protocol: str
) -> None:
    """A key that does not look like one, too."""
    key = "0123456789abcdef"
    error = f'data: {{"type":"error","error":{{"message":"Key {key} of org-abcdef123"}}}}\n\n'
    begun = b'data: {"type":"ping","choices":[]}\n\n'
    with RawProvider(sending(HEAD, begun, error.encode())) as provider:
        user = user_at(client, provider.url, protocol, api_key=key)
        text = ask(user, "Hi", protocol, stream=True).text
    assert "Key *** of ***" in text
    assert key not in text


def test_a_key_goes_to_its_own_endpoint_only(
    client: httpx.Client, double: Double, other: Double
) -> None:
    double.script("x", Answer(status=503))
    endpoints = {
        "first": endpoint(double.url, api_key="sk-first"),
        "second": endpoint(other.url, "anthropic", api_key="sk-second"),
    }
    user = user_of(client, endpoints, ["second"])
    for model in (None, "first/", "second/"):
        assert ask(user, "#x", model=model).status_code == 200
    assert double.calls()
    assert other.calls()
    for one, key in ((double, "sk-second"), (other, "sk-first")):
        for call in one.calls():
            assert key not in str(call.headers)
            assert user.api_key not in str(call.headers)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_redirect_is_not_followed(
    client: httpx.Client, double: Double, other: Double, streamed: bool
) -> None:
    prompt = double.script("x", Answer(redirect=f"{other.url}/v1/chat/completions"))
    user = user_at(client, double.url)
    reply = ask(user, prompt, stream=streamed)
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "provider_error")
    assert "location" not in reply.headers
    assert other.calls() == []
    assert used(user) == 0


# Without ALLOW_PRIVATE_UPSTREAMS: the server that all other tests share.


@pytest.fixture
def strict(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=20, verify=False) as client:
        yield client


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "[fd00::1]",
        "[fe80::1]",
        "0.0.0.0",
        "2130706433",
        "127.1",
    ],
)
def test_a_private_address_is_refused_in_a_config(strict: httpx.Client, host: str) -> None:
    api = Api.new_tenant(strict)
    for url in (f"https://{host}/v1", f"https://{host}:8443/v1/messages"):
        reply = api.put_config(text_config({"main": {"url": url}}))
        assert reply.status_code == 422
        (fault,) = reply.json()["details"]
        assert fault["path"] == "providers.text.endpoints.main.url"
    plain = api.put_config(text_config({"main": {"url": "http://api.openai.com/v1"}}))
    assert plain.status_code == 422


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_private_address_is_refused_at_the_call(
    client: httpx.Client, strict: httpx.Client, host: str, streamed: bool
) -> None:
    """A config that another server has let pass stands for a name that has changed since."""
    with RawProvider(whole(b"{}")) as provider:
        user = user_at(client, provider.url.replace("127.0.0.1", host))
        assert ask(user, "Hi").status_code == 200
        connections = provider.connections
        user.api.client = strict
        reply = ask(user, "Hi", stream=streamed)
        assert (reply.status_code, reply.json()["error"]["code"]) == (502, "provider_error")
        assert provider.connections == connections
        assert host not in reply.text
