"""Anthropic's count of a message's tokens. Source: the anthropic SDK
(types/message_count_tokens_params)."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.doubles import anthropic_wire
from tests.doubles.plan import Plan
from tests.doubles.prompt import has_messages

PROTOCOL = "anthropic"
HEADERS = anthropic_wire.HEADERS
error, error_event = anthropic_wire.error, anthropic_wire.error_event

_MEMBERS = frozenset(
    {
        *("cache_control", "context_management", "mcp_servers", "messages", "model"),
        *("output_config", "system", "thinking", "tool_choice", "tools"),
    }
)


def fault_of(headers: Mapping[str, str], body: dict[str, Any]) -> str:
    if "anthropic-version" not in headers:
        return "anthropic-version: header is required"
    if others := body.keys() - _MEMBERS:
        return f"{min(others)}: Extra inputs are not permitted"
    return "" if has_messages(body) else "messages: Field required"


def limit_of(body: dict[str, Any]) -> int:
    """Nothing is put out."""
    return 0


def choices_of(body: dict[str, Any]) -> int:
    return 1


def reply(reply_id: str, body: dict[str, Any], plan: Plan) -> dict[str, Any]:
    return {"input_tokens": plan.input_tokens}


def steps(reply_id: str, body: dict[str, Any], plan: Plan) -> Iterator[bytes]:
    raise NotImplementedError("a count is not streamed")
