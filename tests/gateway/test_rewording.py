"""Servers that refuse a member which we send of our own accord are asked once more without it, or
by its other name. What decides is the member that the refusal names, not what it says."""

import json
import socket
from typing import Any

import httpx
import pytest

from tests.gateway.asking import ask, ledger, stream, used, user_at
from tests.gateway.raw_provider import HEAD, RawProvider, sending, whole

CHUNK = '{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}'
STREAM = sending(HEAD + f"data: {CHUNK}\n\ndata: [DONE]\n\n".encode())
USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
WHOLE = whole(json.dumps({"choices": [{"message": {"content": "Hi"}}], "usage": USAGE}).encode())


def refusing(*members: str, error: Any = None, status: str = "400 Bad Request") -> RawProvider:
    """A provider that refuses requests with any of these members, as `error` if it is given."""

    def answer(connection: socket.socket) -> None:
        sent = json.loads(provider.requests[-1][1])
        refused = [name for name in members if name in sent]
        if not refused:
            return (STREAM if sent.get("stream") else WHOLE)(connection)
        shown = error or {"error": {"message": "Not known", "param": refused[0], "code": None}}
        return whole(json.dumps(shown).encode(), status)(connection)

    provider = RawProvider(answer)
    return provider


def bodies(provider: RawProvider) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in provider.requests]


NAMED: dict[str, dict[str, Any]] = {
    "param": {"error": {"message": "Unrecognized", "param": "stream_options"}},
    "a path": {"error": {"message": "Unrecognized", "param": "stream_options.include_usage"}},
    "a path from the body": {"error": {"message": "No", "param": "body.stream_options"}},
    "FastAPI's": {
        "detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra"}]
    },
}


@pytest.mark.parametrize("asked", ["openai", "anthropic"])
@pytest.mark.parametrize("name", NAMED)
def test_a_stream_without_its_usage(client: httpx.Client, name: str, asked: str) -> None:
    with refusing("stream_options", error=NAMED[name], status="422 X") as provider:
        user = user_at(client, provider.url)
        assert any("Hi" in data for data in stream(user, "Hi", asked))
        assert ledger(user)[0]["ref"]["estimated"] is True
        assert used(user) > 0
    first, second = bodies(provider)
    assert first.pop("stream_options") == {"include_usage": True}
    assert first == second


def test_an_endpoint_may_say_so(client: httpx.Client) -> None:
    with refusing("stream_options") as provider:
        user = user_at(client, provider.url, takes_stream_options=False)
        stream(user, "Hi", stream_options={"include_usage": True})
    assert len(provider.requests) == 1


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("members", "refused", "other"),
    [
        ({}, "max_tokens", "max_completion_tokens"),
        ({"limit_field": "max_completion_tokens"}, "max_completion_tokens", "max_tokens"),
    ],
)
def test_the_limit_by_its_other_name(
    client: httpx.Client, members: dict[str, Any], refused: str, other: str, streamed: bool
) -> None:
    with refusing(refused) as provider:
        user = user_at(client, provider.url, **members)
        assert ask(user, "Hi", stream=streamed, max_tokens=50).status_code == 200
    first, second = bodies(provider)
    assert (first.pop(refused), second.pop(other)) == (50, 50)
    assert first == second


def test_both_are_refused(client: httpx.Client) -> None:
    with refusing("max_tokens", "stream_options") as provider:
        stream(user_at(client, provider.url), "Hi", max_tokens=50)
    *_, last = bodies(provider)
    assert len(provider.requests) == 3
    assert last["max_completion_tokens"] == 50
    assert "stream_options" not in last


KEPT: dict[str, Any] = {
    "prose": {"error": {"message": "stream_options and max_tokens are not known"}},
    "a code": {"error": {"message": "No", "code": "stream_options", "param": None}},
    "another member": {"error": {"message": "No stream_options", "param": "messages.0.content"}},
    "a name that only begins so": {"error": {"message": "No", "param": "max_tokens_to_sample"}},
    "no name": {"error": {"message": "No", "param": ["stream_options"]}},
}


@pytest.mark.parametrize("name", KEPT)
def test_a_refusal_that_names_neither_is_passed_on(client: httpx.Client, name: str) -> None:
    with refusing("model", error=KEPT[name]) as provider:
        user = user_at(client, provider.url)
        assert ask(user, "stream_options", stream=True).status_code == 400
    assert len(provider.requests) == 1
    assert used(user) == 0


def test_the_limit_never_goes(client: httpx.Client) -> None:
    with refusing("max_tokens", "max_completion_tokens") as provider:
        user = user_at(client, provider.url)
        assert ask(user, "Hi").status_code == 400
    assert [body.keys() & {"max_tokens", "max_completion_tokens"} for body in bodies(provider)] == [
        {"max_tokens"},
        {"max_completion_tokens"},
    ]


def test_of_a_limit_that_is_refused_by_either_name_the_first_refusal_is_told(
    client: httpx.Client,
) -> None:
    """The other one says no more than that it is another name."""
    refusals = [
        {"error": {"message": "At most 10", "param": "max_completion_tokens"}},
        {"error": {"message": "Use max_completion_tokens", "param": "max_tokens"}},
    ]

    def answer(connection: socket.socket) -> None:
        refusal = refusals[len(provider.requests) - 1]
        whole(json.dumps(refusal).encode(), "400 Bad Request")(connection)

    with RawProvider(answer) as provider:
        user = user_at(client, provider.url, limit_field="max_completion_tokens")
        reply = ask(user, "Hi")
    assert (reply.status_code, reply.json()["error"]["message"]) == (400, "At most 10")
    assert len(provider.requests) == 2


def test_what_a_client_asks_for_beside_is_kept(client: httpx.Client) -> None:
    """Only what we add is ever left out."""
    with refusing("seed") as provider:
        assert ask(user_at(client, provider.url), "Hi", seed=1).status_code == 400
    assert len(provider.requests) == 1
