"""What an app that asks for responses does: with an input, whole or in a stream, and for the next
turn."""

from typing import Any

import httpx

from tests.api import User
from tests.gateway.asking import ask, objects, stream

ENDINGS = ("response.completed", "response.incomplete", "response.failed")
OFFERED = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]


def respond(user: User, given: Any, **members: Any) -> httpx.Response:
    return ask(user, None, "responses", input=given, **members)


def events_of(user: User, given: Any, **members: Any) -> list[dict[str, Any]]:
    """Of a stream, which are numbered and have one end."""
    found = objects(stream(user, None, "responses", input=given, **members))
    assert [event["sequence_number"] for event in found] == [*range(len(found))]
    assert [event["type"] in ENDINGS for event in found].index(True) == len(found) - 1
    return found


def response_of(user: User, given: Any, streamed: bool, **members: Any) -> dict[str, Any]:
    if streamed:
        return dict(events_of(user, given, **members)[-1]["response"])
    reply = respond(user, given, **members)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def next_turn(prompt: str, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation with this output, as it came, and the results of its calls."""
    called = [item["call_id"] for item in output if item["type"] == "function_call"]
    results = [
        {"type": "function_call_output", "call_id": call_id, "output": "seen"} for call_id in called
    ]
    then = results or [{"role": "user", "content": f"And? {prompt}"}]
    return [{"role": "user", "content": prompt}, *output, *then]
