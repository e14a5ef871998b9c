"""Events of very many parts, each of which takes a while: so many as no honest provider sends are
not gone through, and fewer are all passed on."""

import json
from typing import Any

import httpx
import pytest

from server.providers.ask import MOST_CHOICES
from server.providers.bounds import MOST_CALLS_OF_TOOLS
from tests.gateway.asking import ask, objects, stream, used, user_at
from tests.gateway.raw_provider import HEAD, RawProvider, sending, whole

DONE = b"data: [DONE]\n\n"
STOP = {"type": "message_stop"}
Events = list[dict[str, Any]]


def framed(events: Events, end: bytes = DONE) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + end


def chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": choices}


def called(calls: list[dict[str, Any]], reason: str | None = None) -> dict[str, Any]:
    return chunk([{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": reason}])


def in_one_event(count: int) -> Events:
    calls = [{"name": "f", "arguments": "{}"}] * count
    return [chunk([{"index": 0, "delta": {"content": "Hi"}}]), called(calls, "tool_calls")]


def in_turn(count: int) -> Events:
    """All wait for the first, to be sent at the end."""
    first = called([{"index": 0, "name": "f", "arguments": "{"}])
    others = [{"index": number, "name": "f", "arguments": "{}"} for number in range(1, count)]
    parts = [called(others[begin : begin + 100]) for begin in range(0, count, 100)]
    return [first, *parts, called([{"index": 0, "arguments": "}"}], "tool_calls")]


def in_blocks(count: int) -> Events:
    use = {"type": "tool_use", "name": "f", "input": {}}
    return [
        {"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}},
        *(
            {"type": "content_block_start", "index": number, "content_block": use | {"id": "a"}}
            for number in range(count)
        ),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        STOP,
    ]


# By what the endpoint speaks; the client speaks the other.
CALLS = {"in one event": in_one_event, "in turn": in_turn, "in blocks": in_blocks}


@pytest.mark.parametrize("count", [MOST_CALLS_OF_TOOLS, MOST_CALLS_OF_TOOLS + 1])
@pytest.mark.parametrize("name", CALLS)
def test_calls_that_are_translated(client: httpx.Client, name: str, count: int) -> None:
    spoken, asked = ("anthropic", "openai") if name == "in blocks" else ("openai", "anthropic")
    with RawProvider(sending(HEAD, framed(CALLS[name](count)))) as provider:
        user = user_at(client, provider.url, spoken, tokens=10**6)
        events = stream(user, "Hi", asked, max_tokens=100_000)
    begun = sum('"tool_use","id"' in event or '"type":"function"' in event for event in events)
    assert ("too large" in events[-1]) == (count > MOST_CALLS_OF_TOOLS)
    assert begun == count or count > MOST_CALLS_OF_TOOLS
    assert used(user) > 0


@pytest.mark.parametrize("count", [MOST_CHOICES, MOST_CHOICES + 1])
def test_choices_that_end(client: httpx.Client, count: int) -> None:
    choices = [
        {"index": number, "delta": {"content": "Hi"}, "finish_reason": "stop"}
        for number in range(count)
    ]
    with RawProvider(
        sending(HEAD, framed([chunk([{"delta": {"content": "Hi"}}]), chunk(choices)]))
    ) as provider:
        user = user_at(client, provider.url, tokens=10**6)
        events = stream(user, "Hi", n=MOST_CHOICES)
    assert ("too large" in json.dumps(objects(events)[-1])) == (count > MOST_CHOICES)
    assert used(user) > 0


def members(before: int) -> dict[str, Any]:
    return {**{f"m{number}": 1 for number in range(before)}, "an_error": "It is broken"}


@pytest.mark.parametrize(("before", "is_failure"), [(0, True), (199, True), (200, False)])
def test_a_failure_is_known_by_its_first_members(
    client: httpx.Client, before: int, is_failure: bool
) -> None:
    answer = chunk([{"index": 0, "delta": {"content": "Hi"}}])
    end = chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    with RawProvider(sending(HEAD, framed([answer, members(before), end]))) as provider:
        text = ask(user_at(client, provider.url), "Hi", stream=True).text
    assert ("provider_error" in text) == is_failure
    assert ("[DONE]" in text) != is_failure


def tree(levels: int) -> dict[str, Any]:
    return {
        letter: tree(levels - 1) if levels else {} for letter in "abcdefghijklmnopqrstuvwxyABCD"
    }


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ({"z": {"error": {"message": "No such voice"}}, **tree(1)}, "No such voice"),
        ({**tree(1), "z": {"error": {"message": "No such voice"}}}, "The provider "),
    ],
    ids=["soon", "too late"],
)
def test_what_a_failure_says_is_looked_for_in_its_first_parts(
    client: httpx.Client, failure: dict[str, Any], message: str, status: str
) -> None:
    with RawProvider(whole(json.dumps({"error": failure}).encode(), status)) as provider:
        reply = ask(user_at(client, provider.url), "Hi")
    assert reply.status_code == (400 if status[0] == "4" else 502)
    assert reply.json()["error"]["message"].startswith(message)
