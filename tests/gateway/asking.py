"""What an app does with the gateway: asks by any operation, whole or in a stream."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.api import Api, User
from tests.doubles import Double
from tests.endpoints import endpoint, text_config
from tests.processes import eventually

PROTOCOLS = ("openai", "anthropic")
PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "responses": "/v1/responses",
}
LAST = {"openai": "[DONE]", "anthropic": '{"type":"message_stop"}'}
"""The data of a stream's last event."""
TOKENS = 100_000
"""A balance that is enough for any call with the usual limits."""


def user_of(
    client: httpx.Client,
    endpoints: dict[str, dict[str, Any]],
    fallback: list[str] | None = None,
    tokens: int = TOKENS,
) -> User:
    """A user of a new tenant with these text endpoints, the first one the default."""
    group = {"tokens": tokens, "rate_limit": 10_000, "rate_limit_window": 60}
    return Api.new_tenant(client, text_config(endpoints, fallback, anonymous=group)).login()


def user_at(
    client: httpx.Client,
    base_url: str,
    protocol: str = "openai",
    tokens: int = TOKENS,
    **members: Any,
) -> User:
    """A user of a new tenant with one endpoint, `main`."""
    return user_of(client, {"main": endpoint(base_url, protocol, **members)}, tokens=tokens)


def turns(prompt: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": prompt}]


def body_of(protocol: str, prompt: Any, **members: Any) -> dict[str, Any]:
    """A request that an SDK could have sent; a member None is left out."""
    limit = {"max_tokens": 100} if protocol == "anthropic" else {}
    said = "input" if protocol == "responses" else "messages"
    body = {said: turns(prompt), **limit, **members}
    return {name: value for name, value in body.items() if value is not None}


def ask(
    user: User,
    prompt: Any,
    protocol: str = "openai",
    headers: dict[str, str] | None = None,
    **members: Any,
) -> httpx.Response:
    body = body_of(protocol, prompt, **members)
    return user.api.post(PATHS[protocol], body, {**user.headers, **(headers or {})})


def raw(user: User, prompt: Any, protocol: str = "openai", **members: Any) -> bytes:
    """The request as it goes over a connection."""
    body = json.dumps(body_of(protocol, prompt, **members)).encode()
    lines = [
        f"POST /{user.api.tenant_id}{PATHS[protocol]} HTTP/1.1",
        "Host: test",
        f"Authorization: Bearer {user.api_key}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def streaming(
    user: User, prompt: Any, protocol: str = "openai", **members: Any
) -> Iterator[httpx.Response]:
    """The reply to a streamed call, its head read."""
    url = f"/{user.api.tenant_id}{PATHS[protocol]}"
    body = body_of(protocol, prompt, stream=True, **members)
    with user.api.client.stream("POST", url, json=body, headers=user.headers) as reply:
        yield reply


def stream(user: User, prompt: Any, protocol: str = "openai", **members: Any) -> list[str]:
    """The data of each event of a streamed call."""
    with streaming(user, prompt, protocol, **members) as reply:
        assert reply.status_code == 200, reply.read()
        assert reply.headers["content-type"].startswith("text/event-stream")
        return list(data_of(reply.iter_lines()))


def data_of(lines: Iterable[str]) -> Iterator[str]:
    """The data of each event, as it comes."""
    found: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            found.append(line[5:].removeprefix(" "))
        elif not line and found:
            yield "\n".join(found)
            found = []
    assert not found, "the last event has no end"


def objects(data: Iterable[str]) -> list[dict[str, Any]]:
    """Events but for [DONE], and without our own member."""
    found = [json.loads(text) for text in data if text != "[DONE]"]
    return [{name: value for name, value in one.items() if name != "vibe"} for one in found]


def text_of(events: Iterable[dict[str, Any]]) -> str:
    """What a stream says, by any operation."""
    found = ""
    for event in events:
        for choice in event.get("choices") or []:
            found += choice.get("delta", {}).get("content") or ""
        delta = event.get("delta") or {}
        if isinstance(delta, dict):
            found += delta.get("text") or ""
        elif event["type"] == "response.output_text.delta":
            found += delta
    return found


def ledger(user: User) -> list[dict[str, Any]]:
    """The newest entry first."""
    reply = user.api.get("/ledger", user.headers)
    assert reply.status_code == 200, reply.text
    entries: list[dict[str, Any]] = reply.json()["entries"]
    return entries


def used(user: User) -> int:
    """Tokens taken from the balance, once nothing is held any more."""
    eventually(lambda: user.balance()["tokensHeld"] == 0)
    return int(user.balance()["tokensUsed"])


def estimate(*members: Any) -> int:
    """The documented rule for prompts: a token for 3 bytes of the members' JSON."""
    texts = [json.dumps(member, ensure_ascii=False, separators=(",", ":")) for member in members]
    return -(-sum(len(text.encode()) for text in texts) // 3)


def is_up_to(double: Double, key: str, steps: int) -> bool:
    """Has the double written so many steps of its answer to the only call of this key?"""
    calls = double.calls(key)
    return bool(calls) and calls[0].steps >= steps
