"""OpenAI's responses.

Source: the schemas of the openai SDK (types/responses) and developers.openai.com/api/reference.
A stream has no [DONE]: an Answer's last step is the terminal event, which has the usage.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, count
from typing import Any

from tests.doubles import openai_wire
from tests.doubles.plan import Plan
from tests.doubles.responses_input import fault_of_input
from tests.doubles.responses_items import (
    Event,
    Item,
    events_of_reasoning,
    items_of,
    opened,
    reasoning_of,
)
from tests.doubles.wire import dumps

PROTOCOL = "responses"
HEADERS = openai_wire.HEADERS
LEAST_LIMIT = 16

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_FAILED = {"code": "server_error", "message": "An error occurred while processing your request."}
_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""What a response repeats of its request, and what it says where that has nothing."""


def fault_of(headers: Mapping[str, str], body: dict[str, Any]) -> str:
    if not isinstance(body.get("model"), str):
        return "Missing required parameter: 'model'."
    limit = limit_of(body)
    if limit is not None and (type(limit) is not int or limit < LEAST_LIMIT):
        return (
            "Invalid 'max_output_tokens': integer below minimum value. "
            f"Expected a value >= {LEAST_LIMIT}, but got {limit} instead."
        )
    if "stream_options" in body and not body.get("stream"):
        return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    for name in ("messages", "max_tokens", "max_completion_tokens", "response_format", "n"):
        if name in body:
            return f"Unknown parameter: '{name}'."
    return fault_of_input(body)


def limit_of(body: dict[str, Any]) -> int | None:
    return body.get("max_output_tokens")


def choices_of(body: dict[str, Any]) -> int:
    return 1


error = openai_wire.error


def error_event(code: str) -> bytes:
    # After any number that a stream can have come to: nobody counts them here.
    fault = {"code": code or "server_error", "message": _FAILED["message"], "param": None}
    return _event({"type": "error", **fault, "sequence_number": 10**9})


def reply(reply_id: str, body: dict[str, Any], plan: Plan) -> dict[str, Any]:
    reasoning = reasoning_of(reply_id, body, plan)
    items = [item.done() for item in items_of(reply_id, body, plan, len(reasoning))]
    return _ended(reply_id, body, plan, [*reasoning, *items])


def steps(reply_id: str, body: dict[str, Any], plan: Plan) -> Iterator[bytes]:
    numbered, item = _Numbered(), None
    begun = {"response": _response(reply_id, body, "in_progress")}
    done = reasoning_of(reply_id, body, plan)
    started = [("response.created", begun), ("response.in_progress", begun)]
    yield numbered.all([*started, *chain.from_iterable(map(events_of_reasoning, done))])
    for fragment in plan.fragments():
        events = b""
        if item is None or fragment.tool != item.tool:
            events = _close(numbered, item, done)
            item = opened(reply_id, body, plan, fragment, len(done))
            events += numbered.all(item.opening())
        yield events + numbered.all([item.add(fragment.text)])
    if plan.answer.without_finish:
        return
    yield _close(numbered, item, done)
    end = _ended(reply_id, body, plan, done)
    terminal = numbered.all([(f"response.{end['status']}", {"response": end})])
    yield b"" if plan.answer.without_done else terminal


class _Numbered:
    """The events of one stream."""

    def __init__(self) -> None:
        self._next = count()

    def all(self, events: Iterable[Event]) -> bytes:
        return b"".join(
            _event({"type": kind, "sequence_number": next(self._next), **members})
            for kind, members in events
        )


def _close(numbered: _Numbered, item: Item | None, done: list[dict[str, Any]]) -> bytes:
    if item is None:
        return b""
    done.append(item.done())
    return numbered.all(item.closing())


def _response(reply_id: str, body: dict[str, Any], status: str) -> dict[str, Any]:
    # A null is as good as nothing.
    given = {name: body[name] for name in _ECHOED if body.get(name) is not None}
    return {
        "id": f"resp_{reply_id}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": body["model"],
        "output": [],
        "service_tier": "default",
        "usage": None,
        **_ECHOED,
        **given,
    }


def _ended(
    reply_id: str, body: dict[str, Any], plan: Plan, output: list[dict[str, Any]]
) -> dict[str, Any]:
    why = _INCOMPLETE.get(plan.finish_reason)
    status = "incomplete" if why else "failed" if plan.finish_reason == "failed" else "completed"
    is_told = plan.answer.usage != "absent"
    usage = openai_wire.usage_of(plan, "input", "output") if is_told else None
    return {
        **_response(reply_id, body, status),
        "completed_at": int(time.time()) if status == "completed" else None,
        "error": _FAILED if status == "failed" else None,
        "incomplete_details": {"reason": why} if why else None,
        "output": output,
        "usage": usage,
    }


def _event(value: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), dumps(value))
