"""Whatever a client says, a prompt is what its tenant has written; whatever a provider says, the
prompt's text is in no reply, error, log, metric or ledger."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api import ADMIN, User
from tests.doubles import Answer, Double, Tool
from tests.gateway.asking import PATHS, PROTOCOLS, ledger, objects, text_of, turns
from tests.gateway.prompts import GIVEN, PROMPTS, SECRET, body_for, fill, filled_stream, prompting
from tests.gateway.raw_provider import HEAD, RawProvider, sending, whole
from tests.gateway.raw_provider import Answer as RawAnswer
from tests.processes import Server

ROUTES = [f"{again}{path}" for path in map(PATHS.get, PROTOCOLS) for again in ("", "/v1")]
HIDDEN = [SECRET, "real-model", "sk-of-the-tenant"]
TEXT = "One two three four five."

OURS = "Mine-0815"
_TOOL = {"type": "function", "function": {"name": "f", "description": OURS}}
# Of a client's, each with its own words: none of it is in what a provider gets.
MEMBERS: list[dict[str, Any]] = [
    *({name: OURS} for name in ("system", "System", "instructions", "prompt", "suffix", "input")),
    *({name: [_TOOL]} for name in ("tools", "functions", "Tools", "mcp_servers", "plugins")),
    {"system": [{"type": "text", "text": OURS}]},
    {"response_format": {"type": "json_schema", "json_schema": {"name": OURS, "schema": {}}}},
    {"prediction": {"type": "content", "content": OURS}},
    {"extra_body": {"messages": turns(OURS)}},
    {"chat_template_kwargs": {"a": OURS}},
    {"messages": turns(OURS)},
    {"messages": [{"role": "system", "content": OURS}]},
    {"Messages": turns(OURS)},
    *({name: turns(OURS)} for name in ("messages ", "inputs", "conversation", "history")),
    *({name: OURS} for name in ("previous_response_id", "conversation", "container", "user")),
    *({name: OURS} for name in ("safety_identifier", "prompt_cache_key", "service_tier")),
    *({name: OURS} for name in ("Model", "models", "engine", "route", "chat_template")),
    *({name: 5} for name in ("temperature", "top_p", "top_k", "seed", "n", "best_of")),
    *({name: True} for name in ("logprobs", "store", "background", "echo", "include_reasoning")),
    *({name: 9_999} for name in ("max_tokens", "max_completion_tokens", "max_output_tokens")),
    *({name: 1} for name in ("max_tokens", "max_completion_tokens", "maxTokens")),
    {"logit_bias": {"5": 100}},
    {"stop": [OURS]},
    {"stop_sequences": [OURS]},
    {"top_logprobs": 20},
    {"reasoning_effort": "high"},
    {"reasoning": {"effort": "high"}},
    {"thinking": {"type": "enabled", "budget_tokens": 20}},
    {"output_config": {"effort": "max"}},
    {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
    {"tool_choice": "required"},
    {"include": ["reasoning.encrypted_content"]},
    {"stream_options": {"include_usage": True, "system": OURS}},
    {"stream_options": OURS},
    {"metadata": {"user_id": OURS}},
    {"variables": None, "metadata": {**GIVEN, "system": OURS}},
    {"variables": {**GIVEN, "system": OURS}},
    {"variables": {**GIVEN, "tone": OURS}},
    {"Variables": {**GIVEN, "topic": OURS}},
]
RAW = [
    f'"messages":{json.dumps(turns(OURS))}',
    f'"mess\\u0061ges":{json.dumps(turns(OURS))}',
    f'"messages":[],"messages":{json.dumps(turns(OURS))}',
    f'"system":null,"system":"{OURS}"',
    f'"variables":{{"topic":"rivers","tone":"sad","tone":"{OURS}"}}',
]
HEADERS = {"anthropic-beta": OURS, "anthropic-version": "2024-01-01", "x-own": OURS}


def bodies() -> Iterator[bytes]:
    for members in MEMBERS:
        yield json.dumps(body_for() | members).encode()
    for text in RAW:
        yield json.dumps(body_for())[:-1].encode() + f",{text}}}".encode()


BODIES = list(bodies())


@pytest.mark.parametrize("of_endpoint", PROTOCOLS)
@pytest.mark.parametrize("route", ROUTES)
def test_nothing_of_a_client_changes_a_prompt(
    client: httpx.Client, double: Double, route: str, of_endpoint: str
) -> None:
    user = prompting(client, double.url, of_endpoint, unbounded=True, allow=["store", "n"])
    headers = {**user.headers, **HEADERS}
    assert user.api.post(route, body_for(), headers).status_code == 200
    (plain,) = double.calls()
    for number, body in enumerate(BODIES):
        before = len(double.calls())
        text = body[:-1] + b',"stream":true}' if number % 2 else body
        url = f"/{user.api.tenant_id}{route}"
        reply = client.post(url, content=text, headers=headers)
        assert reply.status_code in (200, 400), (body, reply.text)
        assert not [one for one in HIDDEN if one in reply.text], (body, reply.text)
        assert (len(double.calls()) > before) == (reply.status_code == 200)
        for call in double.calls()[before:]:
            said = {
                name: value for name, value in call.body.items() if not name.startswith("stream")
            }
            assert said == plain.body, body
            assert OURS not in json.dumps(call.headers)


# What servers say beside an answer, by the names of many; here all of it is the prompt's.
_ECHO: dict[str, Any] = {
    **dict.fromkeys(("instructions", "system", "system_prompt", "prompt", "input"), SECRET),
    **dict.fromkeys(("system_fingerprint", "provider", "created_by", "x_own", "warning"), SECRET),
    **dict.fromkeys(("reasoning", "reasoning_content", "thinking", "signature"), SECRET),
    **dict.fromkeys(("matched_stop", "stop_sequence", "native_finish_reason"), SECRET),
    "reasoning_details": [{"type": "reasoning.text", "text": SECRET, "index": 0}],
    "thinking_blocks": [{"type": "thinking", "thinking": SECRET, "signature": SECRET}],
    "tools": [{"type": "function", "function": {"name": SECRET}}],
    "messages": turns(SECRET),
    "logprobs": {"content": [{"token": SECRET, "logprob": -1, "top_logprobs": []}]},
    "prompt_logprobs": [{"5": {"decoded_token": SECRET}}],
    "annotations": [{"type": "url_citation", "url_citation": {"title": SECRET}}],
    "citations": [SECRET],
    "extra_content": {"google": {"thought_signature": SECRET}},
    "metadata": {"model": "real-model", "prompt": SECRET},
    "context_management": {"applied_edits": [SECRET]},
    "container": {"id": SECRET},
    "audio": {"transcript": SECRET},
    "model_extra": {SECRET: SECRET},
    SECRET: 5,
}


def echoing(sent: dict[str, Any]) -> list[dict[str, Any]]:
    """All of it wherever an object is that is not the model's own."""
    return [_echoed(sent)]


def _echoed(value: Any, name: str = "") -> Any:
    if isinstance(value, list):
        return [_echoed(one) for one in value]
    if not isinstance(value, dict) or name in ("input", "function"):
        return value
    inner = {one: _echoed(member, one) for one, member in value.items()}
    if "object" in value or "role" in value:
        inner |= {one: SECRET for one in ("id", "model") if one in value}
    return {**_ECHO, **inner}


def _with_other_blocks(sent: dict[str, Any]) -> list[dict[str, Any]]:
    """Blocks that a message begins with: what the model thinks, what a server does."""
    if isinstance(sent.get("content"), list):
        return [{**sent, "content": [*_BLOCKS, *sent["content"]]}]
    if sent.get("type") == "message_start":
        return [sent, *(event for index in range(len(_BLOCKS)) for event in _events(index))]
    if "index" in sent and "choices" not in sent:
        return [{**sent, "index": sent["index"] + len(_BLOCKS)}]
    return [sent]


_BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": SECRET, "signature": SECRET},
    {"type": "redacted_thinking", "data": SECRET},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": SECRET}},
    {"type": "text_of_tomorrow", "text": SECRET},
]


def _events(index: int) -> list[dict[str, Any]]:
    start = {"type": "content_block_start", "index": index, "content_block": _BLOCKS[index]}
    deltas = [
        {"type": "thinking_delta", "thinking": SECRET},
        {"type": "signature_delta", "signature": SECRET},
        {"type": "text_delta", "text": SECRET},
    ]
    middle = [{"type": "content_block_delta", "index": index, "delta": one} for one in deltas]
    return [start, *middle, {"type": "content_block_stop", "index": index}]


LONG = {"haiku": {**PROMPTS["haiku"], "max_output": 5_000}}
"""What is echoed counts as output."""
ANSWERS = {
    "plain": Answer(),
    "echo": Answer(quirks=(echoing,)),
    "blocks": Answer(quirks=(_with_other_blocks, echoing), thinking=SECRET, reasoning_tokens=5),
    "calls": Answer(quirks=(echoing,), tools=(Tool("f", {"a": 1}), Tool("f", {"b": "c"}))),
}


def is_hidden(user: User, server: Server, *texts: str) -> None:
    told = [*texts, json.dumps(ledger(user)), user.api.client.get("/metrics", headers=ADMIN).text]
    for text in (*told, server.text()):
        assert SECRET not in text
    for text in told:
        assert "real-model" not in text


@pytest.mark.parametrize("of_endpoint", PROTOCOLS)
@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize("name", ANSWERS)
def test_nothing_of_the_prompt_is_in_an_answer(
    client: httpx.Client,
    gateway: Server,
    double: Double,
    name: str,
    asked: str,
    of_endpoint: str,
) -> None:
    double.script("echo", *[ANSWERS[name]] * 3)
    user = prompting(client, double.url, of_endpoint, LONG)
    given = {**GIVEN, "topic": "#echo"}
    reply = fill(user, asked, variables=given)
    assert reply.status_code == 200, reply.text
    assert TEXT in reply.text
    found = [reply.text]
    for include in (None, {"include_usage": True}):
        data = filled_stream(user, asked, variables=given, stream_options=include)
        found += data
        events = objects(data)
        assert text_of(events) == TEXT
        assert_in_order(events)
        assert ('"f"' in "".join(data)) == (name == "calls")
    assert ('"f"' in reply.text) == (name == "calls")
    is_hidden(user, gateway, *found)
    for header, value in reply.headers.items():
        assert SECRET not in f"{header}: {value}"


def assert_in_order(events: list[dict[str, Any]]) -> None:
    """The blocks of a message are numbered without gaps, as SDKs want them."""
    started = [one["index"] for one in events if one.get("type") == "content_block_start"]
    assert started == list(range(len(started)))


_SECRET = SECRET.encode()


def fault(kind: str = "") -> bytes:
    error = {
        "message": f"In messages.0: {SECRET} of real-model",
        "type": kind or SECRET,
        "code": SECRET,
        "param": SECRET,
        "metadata": {"raw": SECRET},
    }
    return json.dumps({"type": "error", "error": error, "request_id": SECRET}).encode()


_CHUNK = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"One"}}]}\n\n'
_FIRST: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"role": "assistant", "content": [], "usage": {}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
]
_START = b"".join(
    b"event: %b\ndata: %b\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in _FIRST
)
_BEGUN = {"openai": _CHUNK, "anthropic": _START}


def failures(of_endpoint: str) -> dict[str, RawAnswer]:
    kinds = ("", "invalid_request_error", "rate_limit_error")
    found = {
        f"{status} {kind}": whole(fault(kind), f"{status} {SECRET}", b"X-Own: %b\r\n" % _SECRET)
        for status in (200, 400, 401, 402, 403, 404, 409, 413, 418, 422, 429, 500, 503)
        for kind in kinds
    }
    text = f"no JSON, but {SECRET}".encode()
    found |= {f"{status} text": whole(text, f"{status} x") for status in (200, 400, 404, 500)}
    for kind in kinds:
        event = b"event: error\ndata: %b\n\n" % fault(kind)
        found |= {f"event {kind}": sending(HEAD + event)}
        found |= {f"late event {kind}": sending(HEAD + _BEGUN[of_endpoint] + event)}
    found["half"] = sending(HEAD + _BEGUN[of_endpoint] + b'data: {"x": "%b' % _SECRET)
    found["text event"] = sending(HEAD + b"data: %b\n\n" % text)
    return found


NAMES = list(failures("openai"))


@pytest.mark.parametrize("of_endpoint", PROTOCOLS)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_the_prompt_is_in_an_error(
    client: httpx.Client, gateway: Server, name: str, of_endpoint: str
) -> None:
    with RawProvider(failures(of_endpoint)[name]) as provider:
        user = prompting(client, provider.url, of_endpoint)
        found = []
        for asked in PROTOCOLS:
            for stream in (False, True):
                reply = fill(user, asked, stream=stream)
                found += [reply.text, str(reply.headers)]
                assert "error" in reply.text
                assert reply.status_code >= 400 or stream
        assert provider.requests
    is_hidden(user, gateway, *found)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_an_error_is_a_fixed_sentence_per_status(client: httpx.Client, status: int) -> None:
    said = set()
    for kind in ("", "invalid_request_error"):
        with RawProvider(whole(fault(kind), f"{status} x")) as provider:
            reply = fill(prompting(client, provider.url))
        assert reply.status_code == status
        said.add(reply.text)
    assert len(said) == 1
