"""Echo: what a response repeats of its request, which their SDKs' types want to be there."""

from collections.abc import Mapping
from typing import Any

import orjson

_LONGEST = 16 * 1024
"""Bytes: it is kept for as long as the call lasts, and told up to three times. What is longer is
repeated without its tools, or not at all."""
_DEFAULTS: dict[str, Any] = {
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
}
# Of ours: nothing is kept, and nothing goes on without its client.
_FIXED: dict[str, Any] = {
    "background": False,
    "instructions": None,  # they may be long, and who asks has them
    "previous_response_id": None,
    "store": False,
}
_NOT_YET = {"error": None, "incomplete_details": None, "usage": None}


def echo_of(body: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: body[name] for name in _DEFAULTS if body.get(name) is not None}
    for left_out in ("", "tools"):
        given.pop(left_out, None)
        if len(orjson.dumps(given)) <= _LONGEST:
            return given
    return {}


def envelope(echo: Mapping[str, Any], created: int) -> dict[str, Any]:
    """A response of which nothing has come; `created` in Unix seconds."""
    begun = {"object": "response", "created_at": created, "status": "in_progress", "output": []}
    return {**_DEFAULTS, **echo, **_FIXED, **begun, **_NOT_YET}
