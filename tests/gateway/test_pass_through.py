"""What passes through untouched, and which headers pass at all."""

import json
from typing import Any

import httpx
import pytest

from tests.doubles import Answer, Double
from tests.endpoints import PROVIDER_KEY
from tests.gateway.asking import PATHS, PROTOCOLS, TOKENS, ask, body_of, stream, streaming, user_at
from tests.gateway.raw_provider import HEAD, RawProvider, sending, whole

# Members that nobody knows, with values that a careless copy would change.
UNKNOWN: dict[str, Any] = {
    "x_null": None,
    "x_false": False,
    "x_zero": 0,
    "x_one": 1.0,
    "x_small": 1e-7,
    "x_large": 2**63 - 1,
    "x_negative": -(2**63),
    "x_text": 'Größe 🎉 \u2028 \\ " \n \x7f',
    "x_empty": {"": [], "a": {}},
    "x_deep": [[[{"a": [None, True]}]]],
}
KNOWN: dict[str, dict[str, Any]] = {
    "openai": {"seed": 7, "logit_bias": {"50256": -100}, "user": "u", "store": False},
    "anthropic": {"top_k": 5, "metadata": {"user_id": "u"}, "stop_sequences": ["a"]},
}
USER = ("metadata", "user")
OURS = ("model", "max_tokens", "stream", "stream_options", *USER)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_members_of_a_request_pass_untouched(
    client: httpx.Client, double: Double, protocol: str, streamed: bool
) -> None:
    user = user_at(client, double.url, protocol)
    given = {**body_of(protocol, "Hi"), **KNOWN[protocol], **UNKNOWN, "stream": streamed}
    given["messages"] = [{"role": "user", "content": "Hi", "x_unknown": [1, None]}]
    reply = user.api.post(PATHS[protocol], given, user.headers)
    assert reply.status_code == 200, reply.text
    sent = double.calls()[0].body
    assert {name: sent[name] for name in sent if name not in OURS} == {
        name: given[name] for name in given if name not in OURS
    }
    assert [name for name in sent if name in given] == list(given)
    assert isinstance(sent["x_one"], float)
    limit = {"max_tokens": 100 if protocol == "anthropic" else 4096}
    streaming_ = {"stream": True} if streamed else {"stream": False}
    usage = {"stream_options": {"include_usage": True}} if protocol == "openai" else {}
    ours = {**limit, "model": f"{protocol}-model", **streaming_, **(usage if streamed else {})}
    assert {name: sent[name] for name in sent if name in OURS and name not in USER} == ours


def test_a_request_is_utf_8_with_its_length(client: httpx.Client) -> None:
    with RawProvider(whole(b"{}")) as provider:
        user = user_at(client, provider.url)
        assert ask(user, "Größe 🎉").status_code == 200
    ((head, body),) = provider.requests
    assert b"transfer-encoding" not in head.lower()
    assert '"content":"Größe 🎉"'.encode() in body


REPLIES = {
    "spaces and unknown members": b' { "usage" : {"total_tokens":5} ,\n'
    b'"x_large":18446744073709551615,"x_one":1.0,"x_e":1E2,'
    b'"x_text":"\\u00e9\\/","choices" : [ ] }\n',
    "empty": b"{}",
    "twice the same member": b'{"id":"a","id":"b"}',
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_passes_byte_by_byte(client: httpx.Client, name: str, protocol: str) -> None:
    with RawProvider(whole(REPLIES[name])) as provider:
        user = user_at(client, provider.url, protocol)
        reply = ask(user, "Hi", protocol)
    assert (reply.status_code, reply.content) == (200, REPLIES[name])


HALVES = ["\\ud83d", "\\ude00x", "\\\\ud83d\\ud83d"]
"""Of characters: valid JSON (RFC 8259, 8.2), as servers write it that cut texts in UTF-16."""


@pytest.mark.parametrize("half", HALVES)
def test_half_a_character_is_no_reason_to_lose_a_reply(client: httpx.Client, half: str) -> None:
    choice = f'{{"index":0,"message":{{"content":"{half}"}},"finish_reason":"length"}}'
    body = f'{{"choices":[{choice}],"usage":{{"total_tokens":25}}}}'.encode()
    with RawProvider(whole(body)) as provider:
        reply = ask(user_at(client, provider.url), "Hi")
    assert (reply.status_code, reply.content) == (200, body)
    assert reply.headers["x-tokens-charged"] == "25"


@pytest.mark.parametrize("half", HALVES)
def test_half_a_character_is_no_reason_to_end_a_stream(client: httpx.Client, half: str) -> None:
    delta = f'{{"choices":[{{"index":0,"delta":{{"content":"{half}"}}}}]}}'
    end = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    data = [delta, delta, end, "[DONE]"]
    with RawProvider(sending(HEAD, *(f"data: {each}\n\n".encode() for each in data))) as provider:
        assert stream(user_at(client, provider.url), "Hi") == data


CHUNKS = [
    b'{"choices":[{"index":0,"delta":{"content":"a","x_new":[1.0,1E2]}}] , "x_unknown": "\\u00e9"}',
    b'{"x_kind":"of tomorrow","choices":[]}',
    b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}',
]
MESSAGES = [
    b'{"type":"message_start","message":{"usage":{"input_tokens":9,"output_tokens":1},"x":1.0}}',
    b'{"type": "ping"}',
    b'{"type":"of_tomorrow", "x_unknown" : "\\u00e9"}',
    b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}',
    b'{"type":"message_stop","x":[ ]}',
]


# But for what the call has cost, behind all that the event has, or in a comment.
VIBE = b',"vibe":{"tokensCharged":%d,"tokensLeft":%d}'


def test_events_of_openai_pass_byte_by_byte(client: httpx.Client) -> None:
    usage = b'{"choices":[],"usage":{"total_tokens":25 }}'
    data = [*CHUNKS, usage, b"[DONE]"]
    with RawProvider(sending(HEAD, *(b"data: %b\n\n" % each for each in data))) as provider:
        user = user_at(client, provider.url)
        found = stream(user, "Hi", stream_options={"include_usage": True})
    data[-2] = usage[:-1] + VIBE % (25, TOKENS - 25) + b"}"
    assert found == [each.decode() for each in data]


def test_events_of_anthropic_pass_byte_by_byte(client: httpx.Client) -> None:
    frames = [
        b"event: %b\ndata: %b\n\n" % (json.loads(each)["type"].encode(), each) for each in MESSAGES
    ]
    with RawProvider(sending(HEAD, *frames)) as provider:
        user = user_at(client, provider.url, "anthropic")
        frames.insert(-1, b": {%b}\n\n" % (VIBE % (14, TOKENS - 14))[1:])
        with streaming(user, "Hi", "anthropic") as reply:
            assert reply.read() == b"".join(frames)


CLIENTS = {
    "Accept": "application/json, text/event-stream",
    "Accept-Encoding": "gzip, br",
    "Accept-Language": "de",
    "Cookie": "session=secret",
    "Forwarded": "for=192.0.2.1",
    "Idempotency-Key": "once",
    "OpenAI-Organization": "org-of-the-user",
    "OpenAI-Beta": "assistants=v2",
    "Origin": "https://app.example",
    "Referer": "https://app.example/page",
    "User-Agent": "OpenAI/Python 3.54.0",
    "X-Api-Key": "",
    "X-Forwarded-For": "192.0.2.1",
    "X-Request-ID": "of-the-caller",
    "X-Stainless-Lang": "python",
    "X-Unknown": "1",
    "anthropic-dangerous-direct-browser-access": "true",
}
EVERY_CALL = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "content-type": "application/json",
    "user-agent": "vibe-server",
}


def sent_headers(double: Double) -> dict[str, str]:
    headers = dict(double.calls()[-1].headers)
    assert headers.pop("host") == double.url.removeprefix("http://")
    assert int(headers.pop("content-length")) > 0
    return headers


def test_the_headers_that_openai_gets(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url)
    headers = {**CLIENTS, "anthropic-version": "2023-06-01", "anthropic-beta": "a"}
    assert ask(user, "Hi", headers=headers).status_code == 200
    assert sent_headers(double) == {**EVERY_CALL, "authorization": f"Bearer {PROVIDER_KEY}"}


# What the client sends, and what the endpoint gets of it.
ANTHROPIC_HEADERS: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {"anthropic-version": "2023-06-01"}),
    ({"anthropic-version": "2023-01-01"}, {"anthropic-version": "2023-01-01"}),
    ({"anthropic-version": "latest"}, {"anthropic-version": "2023-06-01"}),
    (
        {"anthropic-beta": "a-2025-01-01,b"},
        {"anthropic-version": "2023-06-01", "anthropic-beta": "a-2025-01-01,b"},
    ),
    ({"anthropic-beta": "a\tb"}, {"anthropic-version": "2023-06-01"}),
    ({"anthropic-beta": "b" * 501}, {"anthropic-version": "2023-06-01"}),
]


@pytest.mark.parametrize(("given", "expected"), ANTHROPIC_HEADERS)
def test_the_headers_that_anthropic_gets(
    client: httpx.Client, double: Double, given: dict[str, str], expected: dict[str, str]
) -> None:
    user = user_at(client, double.url, "anthropic")
    assert ask(user, "Hi", "anthropic", headers={**CLIENTS, **given}).status_code == 200
    assert sent_headers(double) == {**EVERY_CALL, **expected, "x-api-key": PROVIDER_KEY}


def test_an_endpoint_without_a_key_gets_none(client: httpx.Client) -> None:
    """As for servers of models on a network of one's own."""
    for protocol in PROTOCOLS:
        with RawProvider(whole(b"{}")) as provider:
            user = user_at(client, provider.url, protocol, api_key=None)
            assert ask(user, "Hi", protocol).status_code == 200
        ((head, _),) = provider.requests
        assert user.api_key.encode() not in head
        assert b"sk-" not in head


# Of the provider's account, or of its connection: nothing of it is the user's business.
PROVIDERS = {
    "cf-ray": "1",
    "connection": "keep-alive",
    "openai-organization": "org-of-the-tenant",
    "openai-project": "proj_of_the_tenant",
    "retry-after": "5",
    "server": "provider",
    "set-cookie": "session=of-the-tenant",
    "strict-transport-security": "max-age=1",
    "x-should-retry": "true",
    "x-unknown": "1",
    "access-control-allow-origin": "https://provider.example",
}
ALWAYS = {
    "content-type",
    "connection",
    "x-request-id",
    "request-id",
    "ratelimit",
    "ratelimit-policy",
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_headers_that_a_client_gets(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    double.script("whole", Answer(headers=PROVIDERS))
    user = user_at(client, double.url, protocol)
    asked = {"X-Request-ID": "of-the-caller"}
    reply = ask(user, "#whole", protocol, headers=asked)
    assert reply.status_code == 200
    assert set(reply.headers) == ALWAYS | {"content-length", "x-tokens-charged", "x-tokens-left"}
    assert reply.headers["x-request-id"] == reply.headers["request-id"] == "of-the-caller"
    assert reply.headers["content-type"] == "application/json"

    reply = ask(user, "#whole", protocol, headers=asked, stream=True)
    of_streams = {"transfer-encoding", "cache-control", "x-accel-buffering"}
    assert set(reply.headers) == ALWAYS | of_streams
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["x-accel-buffering"] == "no"

    double.script("whole", Answer(headers=PROVIDERS, status=400))
    for streamed in (False, True):
        reply = ask(user, "#whole", protocol, headers=asked, stream=streamed)
        of_refusals = {"content-length", "retry-after", "x-tokens-charged", "x-tokens-left"}
        assert (reply.status_code, set(reply.headers)) == (400, ALWAYS | of_refusals)


def test_a_browser_may_read_what_is_ours(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url)
    for streamed in (False, True):
        reply = ask(user, "Hi", headers={"Origin": "https://app.example"}, stream=streamed)
        assert reply.headers["access-control-allow-origin"] == "*"
        exposed = reply.headers["access-control-expose-headers"].lower().split(", ")
        ours = {
            name for name in reply.headers if name.startswith(("x-tokens", "x-request", "rate"))
        }
        assert ours <= set(exposed)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_passes_in_the_clients_shape(
    client: httpx.Client, double: Double, protocol: str, streamed: bool
) -> None:
    for spoken in PROTOCOLS:
        prompt = double.script("x", Answer(status=404))
        user = user_at(client, double.url, spoken)
        reply = ask(user, prompt, protocol, stream=streamed)
        assert reply.status_code == 404
        error = reply.json()["error"]
        assert error["message"] == "The double answers 404."
        if protocol == "anthropic":
            assert (reply.json()["type"], error["type"]) == ("error", "not_found_error")
        else:
            assert set(error) == {"message", "type", "param", "code"}
