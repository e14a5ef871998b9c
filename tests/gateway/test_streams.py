"""Streams: each event when it comes, at the client's pace, and what becomes of those that break."""

import json
from typing import Any

import httpx
import pytest

from tests.api import User
from tests.doubles import Answer, Double, Tool
from tests.endpoints import endpoint
from tests.gateway.asking import (
    LAST,
    PATHS,
    PROTOCOLS,
    ask,
    body_of,
    data_of,
    estimate,
    is_up_to,
    ledger,
    objects,
    stream,
    streaming,
    text_of,
    turns,
    used,
    user_at,
    user_of,
)
from tests.processes import eventually
from tests.raw import connect

BOTH_WAYS = [(asked, spoken) for asked in PROTOCOLS for spoken in PROTOCOLS]
TEXT = "One two three four five."


@pytest.mark.parametrize(("asked", "spoken"), BOTH_WAYS)
@pytest.mark.parametrize("step", [1, 3, 4])
def test_an_event_is_passed_on_before_the_next_one_is_sent(
    client: httpx.Client, double: Double, asked: str, spoken: str, step: int
) -> None:
    """The double waits before its step `step + 1`, and goes on when the client has the others."""
    prompt = double.script("x", Answer(stop_at=step + 1))
    user = user_at(client, double.url, spoken)
    seen: list[dict[str, Any]] = []
    with streaming(user, prompt, asked) as reply:
        for data in data_of(reply.iter_lines()):
            seen += objects([data])
            if text_of(seen) == "".join(list(Answer().pieces)[:step]):
                assert not double.calls()[0].finished
                double.release("x")
    assert text_of(seen) == TEXT
    assert used(user) == 25


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_first_event_is_there_at_once(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    prompt = double.script("x", Answer(stop_at=1))
    with streaming(user_at(client, double.url, protocol), prompt, protocol) as reply:
        assert next(data_of(reply.iter_lines()))
        # The double counts a step when it has written it, so perhaps after the client has it.
        assert double.calls()[0].steps <= 1
        assert not double.calls()[0].finished


def test_a_client_of_http_1_0_gets_no_chunks(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url)
    body = json.dumps(body_of("openai", "Hi", stream=True))
    head = (
        f"POST /{user.api.tenant_id}{PATHS['openai']} HTTP/1.0\r\nConnection: keep-alive\r\n"
        f"Authorization: Bearer {user.api_key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with connect(str(client.base_url)) as connection:
        connection.sendall((head + body).encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, text = received.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200")
    assert "connection: close" in head
    assert "chunked" not in head
    events = list(data_of(text.splitlines()))
    assert (text_of(objects(events)), events[-1]) == (TEXT, "[DONE]")
    assert used(user) == 25


def test_usage_is_asked_for_and_hidden_from_who_did_not(
    client: httpx.Client, double: Double
) -> None:
    user = user_at(client, double.url)
    asked_for: list[dict[str, Any]] = [
        {},
        {"stream_options": None},
        {"stream_options": {}},
        {"stream_options": {"include_usage": False}},
        {"stream_options": {"include_obfuscation": False}},
    ]
    for members in asked_for:
        events = objects(stream(user, "Hi", **members))
        assert all(event["choices"] for event in events)
        assert all(event.get("usage") is None for event in events)
        options = double.calls()[-1].body["stream_options"]
        assert options == {**(members.get("stream_options") or {}), "include_usage": True}
    assert used(user) == 25 * len(asked_for)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_usage_is_there_for_who_asked(client: httpx.Client, double: Double, protocol: str) -> None:
    user = user_at(client, double.url, protocol)
    *_, last = objects(stream(user, "Hi", stream_options={"include_usage": True}))
    assert last["choices"] == []
    usage = last["usage"]
    counts = [usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    assert counts == [20, 5, 25]


def test_usage_beside_choices(client: httpx.Client, double: Double) -> None:
    prompt = double.script("x", Answer(usage="with_choices"))
    user = user_at(client, double.url)
    events = objects(stream(user, prompt))
    assert all(event["choices"] and event.get("usage") is None for event in events)
    assert events[-1]["choices"][0]["finish_reason"] == "stop"
    *_, last = objects(stream(user, prompt, stream_options={"include_usage": True}))
    assert last["usage"]["total_tokens"] == 25
    assert (used(user), text_of(events)) == (50, TEXT)


@pytest.mark.parametrize(("asked", "spoken"), BOTH_WAYS)
def test_a_stream_ends_as_its_protocol_says(
    client: httpx.Client, double: Double, asked: str, spoken: str
) -> None:
    for name, without_done in (("with", False), ("without", True)):
        prompt = double.script(name, Answer(without_done=without_done))
        user = user_at(client, double.url, spoken)
        data = stream(user, prompt, asked)
        assert data[-1] == LAST[asked]
        assert data.count(LAST[asked]) == 1
        assert text_of(objects(data)) == TEXT
        assert (used(user), "estimated" in ledger(user)[0]["ref"]) == (25, False)


def test_the_balance_is_settled_when_the_end_is_read(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url)
    for number in range(1, 11):
        with streaming(user, "Hi") as reply:
            assert "[DONE]" in data_of(reply.iter_lines())
            balance = user.balance()
        assert (balance["tokensHeld"], balance["tokensUsed"]) == (0, 25 * number)


# What breaks, in either protocol, and the text before it.
BROKEN = {
    "reset": Answer(cut_at=3),
    "an error": Answer(error_at=3),
    "no finish": Answer(without_finish=True),
}


@pytest.mark.parametrize(("asked", "spoken"), BOTH_WAYS)
@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_breaks_ends_with_an_error(
    client: httpx.Client, double: Double, name: str, asked: str, spoken: str
) -> None:
    prompt = double.script("x", BROKEN[name])
    user = user_at(client, double.url, spoken)
    data = stream(user, prompt, asked)
    assert LAST[asked] not in data
    *events, last = objects(data)
    assert TEXT.startswith(text_of(events))
    if name != "reset":  # what had not been read is lost with the connection
        assert text_of(events) == (TEXT if name == "no finish" else "One two ")
    # What the provider said is passed on; the rest is ours.
    says_so = name == "an error" and spoken == "anthropic"
    kind = {"openai": "server_error", "anthropic": "api_error"}[asked]
    error = last["error"]
    assert error["type"] == ("overloaded_error" if says_so else kind)
    assert (error["code"], bool(error["message"])) == ("provider_error", True)
    assert last.get("type") == (None if asked == "openai" else "error")
    reported = 20 if spoken == "anthropic" else estimate(turns(prompt))
    entry = ledger(user)[0]["ref"]
    assert (entry["input"], entry["estimated"]) == (reported, True)
    assert used(user) == reported + entry["output"]
    assert entry["output"] <= 7


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_error_event_has_its_name_where_the_sdk_looks_for_it(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    prompt = double.script("x", Answer(error_at=3))
    text = ask(user_at(client, double.url, protocol), prompt, protocol, stream=True).text
    *_, last = text.strip().split("\n\n")
    assert last.startswith('data: {"error"' if protocol == "openai" else "event: error\ndata: {")


@pytest.mark.parametrize("code", ["insufficient_quota", ""])
@pytest.mark.parametrize(("asked", "spoken"), BOTH_WAYS)
def test_an_error_as_the_first_event_is_as_good_as_a_status(
    client: httpx.Client, double: Double, other: Double, asked: str, spoken: str, code: str
) -> None:
    prompt = double.script("x", Answer(error_at=0, code=code))
    user = user_at(client, double.url, spoken)
    reply = ask(user, prompt, asked, stream=True)
    assert (reply.status_code, used(user)) == (502, 0)
    endpoints = {"main": endpoint(double.url, spoken), "second": endpoint(other.url, spoken)}
    user = user_of(client, endpoints, ["second"])
    assert text_of(objects(stream(user, prompt, asked))) == TEXT
    assert used(user) == other.calls()[0].used == 25


def test_a_stream_that_pauses_too_long_ends_with_an_error(
    hasty_client: httpx.Client, double: Double
) -> None:
    prompt = double.script("x", Answer(stop_at=3))
    for protocol in PROTOCOLS:
        user = user_at(hasty_client, double.url, protocol)
        *events, last = objects(stream(user, prompt, protocol))
        assert text_of(events) == "One two "
        if protocol == "openai":
            assert last["error"]["code"] == "provider_timeout"
        else:
            assert last["error"]["type"] == "timeout_error"
        assert 0 < used(user) < 25
    eventually(lambda: all(call.peer_gone for call in double.calls()))


@pytest.mark.parametrize(("asked", "spoken"), BOTH_WAYS)
def test_an_upstream_that_ignores_its_limit_is_cut_off(
    client: httpx.Client, double: Double, asked: str, spoken: str
) -> None:
    prompt = double.script("x", Answer(ignore_limit=True, pieces=["abcdefgh" * 10] * 10))
    user = user_at(client, double.url, spoken)
    *events, last = objects(stream(user, prompt, asked, max_tokens=50))
    assert "error" in last
    assert 8 * 50 <= len(text_of(events)) <= 8 * 50 + 10_000
    eventually(lambda: double.calls()[0].peer_gone)
    assert used(user) == sum(ledger(user)[0]["ref"][name] for name in ("input", "output"))


@pytest.mark.parametrize(("asked", "spoken"), BOTH_WAYS)
def test_tools_in_a_stream_are_whole(
    client: httpx.Client, double: Double, asked: str, spoken: str
) -> None:
    tools = (Tool("weather", {"city": "Köln", "days": [1, 2, 3]}), Tool("time", {}))
    prompt = double.script("x", Answer(tools=tools))
    user: User = user_at(client, double.url, spoken)
    found: dict[int, str] = {}
    for event in objects(stream(user, prompt, asked)):
        for choice in event.get("choices") or []:
            for call in choice["delta"].get("tool_calls") or []:
                part = call["function"].get("arguments") or ""
                found[call["index"]] = found.get(call["index"], "") + part
        delta = event.get("delta") or {}
        if delta.get("type") == "input_json_delta":
            found[event["index"] - 1] = found.get(event["index"] - 1, "") + delta["partial_json"]
    assert json.loads(found[0]) == tools[0].arguments
    assert (found.get(1) or "{}") == "{}"


def test_streams_wait_for_nothing_of_each_other(client: httpx.Client, double: Double) -> None:
    waiting = double.script("waiting", Answer(stop_at=2))
    user = user_at(client, double.url)
    with streaming(user, waiting):
        eventually(lambda: is_up_to(double, "waiting", 2))
        assert text_of(objects(stream(user, "Hi"))) == TEXT
        double.release("waiting")
