"""Anthropic's messages.

Source: the schemas of the anthropic SDK (types) and platform.claude.com/docs/en/api/messages.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.doubles.plan import Fragment, Plan
from tests.doubles.prompt import has_messages, parts_of
from tests.doubles.wire import dumps

PROTOCOL = "anthropic"
HEADERS = {
    "request-id": "req_0123456789",
    "anthropic-organization-id": "org-of-the-tenant",
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:00Z",
}

_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_TOOL_NAME = re.compile("[a-zA-Z0-9_-]{1,128}")
_SAMPLING = ("temperature", "top_p", "top_k")
_WITHOUT_SAMPLING = "2026-10-21"
"""The API version that removed them."""


def fault_of(headers: Mapping[str, str], body: dict[str, Any]) -> str:
    limit = body.get("max_tokens")
    version = headers.get("anthropic-version", "")
    if not version:
        return "anthropic-version: header is required"
    if not isinstance(body.get("model"), str):
        return "model: Field required"
    if type(limit) is not int or limit < 0:
        return "max_tokens: Field required"
    if not has_messages(body):
        return "messages: Field required"
    if version >= _WITHOUT_SAMPLING and (given := [name for name in _SAMPLING if name in body]):
        return f"{given[0]}: Extra inputs are not permitted"
    return _fault_of_turns(body["messages"]) or _fault_of_thinking(body)


def _fault_of_turns(messages: list[dict[str, Any]]) -> str:
    asked: set[Any] = set()
    for message in messages:
        parts = parts_of(message)
        if message.get("role") not in ("user", "assistant", "system"):
            return "messages: Unexpected role"
        if not message.get("content"):
            return "messages: all messages must have non-empty content"
        if any(part.get("type") == "text" and not part.get("text") for part in parts):
            return "messages: text content blocks must be non-empty"
        if all(_is_blank(part) for part in parts) and message.get("role") == "assistant" and parts:
            return "messages: text content blocks must contain non-whitespace text"
        if any(
            part.get("type") == "tool_use" and not _TOOL_NAME.fullmatch(str(part.get("name")))
            for part in parts
        ):
            return "messages: tool_use.name: String should match pattern"
        answered = {part.get("tool_use_id") for part in parts if part.get("type") == "tool_result"}
        if answered != asked:
            return "messages: `tool_use` ids and `tool_result` blocks must match"
        asked = {part.get("id") for part in parts if part.get("type") == "tool_use"}
    return ""


def _fault_of_thinking(body: dict[str, Any]) -> str:
    first: list[dict[str, Any]] = []
    for message in reversed(body["messages"]):
        parts = parts_of(message)
        if message.get("role") == "assistant":
            first = parts
        elif not any(part.get("type") == "tool_result" for part in parts):
            break
    thinking = body.get("thinking")
    asked = isinstance(thinking, dict) and thinking.get("type") == "enabled"
    if asked and first and "thinking" not in str(first[0].get("type")):
        return "messages: Expected `thinking` or `redacted_thinking`"
    return ""


def _is_blank(part: dict[str, Any]) -> bool:
    return part.get("type") == "text" and not str(part.get("text")).strip()


def limit_of(body: dict[str, Any]) -> int | None:
    return int(body["max_tokens"])


def choices_of(body: dict[str, Any]) -> int:
    return 1


def error(status: int, code: str, message: str) -> dict[str, Any]:
    fault: dict[str, Any] = {"type": _ERRORS.get(status, "api_error"), "message": message}
    if code:
        fault["details"] = {"error_code": code}
    return {"type": "error", "error": fault, "request_id": HEADERS["request-id"]}


def error_event(code: str) -> bytes:
    return _event(error(529, code, "Overloaded"))


def reply(reply_id: str, body: dict[str, Any], plan: Plan) -> dict[str, Any]:
    usage = {} if plan.answer.usage == "absent" else {"usage": _usage(plan)}
    content = [*_thinking(plan), *_blocks(reply_id, plan)]
    stop = {"stop_reason": _stop_reason(plan), "stop_sequence": None}
    return {**_common(reply_id, body), "content": content, **stop, **usage}


def steps(reply_id: str, body: dict[str, Any], plan: Plan) -> Iterator[bytes]:
    yield _opening(reply_id, body, plan)
    index, last = len(_thinking(plan)), None
    for fragment in plan.fragments():
        begins = last is None or fragment.tool != last.tool
        events = b""
        if begins:
            events = b"" if last is None else _block_stop(index)
            index += last is not None
            events += _block_start(index, _empty_block(reply_id, plan, fragment))
        yield events + _block_delta(index, _delta(plan, fragment))
        last = fragment
    if plan.answer.without_finish:
        return
    delta = {"stop_reason": _stop_reason(plan), "stop_sequence": None}
    usage = {} if plan.answer.usage == "absent" else {"usage": _usage(plan)}
    end = _event({"type": "message_delta", "delta": delta, **usage})
    yield (b"" if last is None else _block_stop(index)) + end
    yield b"" if plan.answer.without_done else _event({"type": "message_stop"})


def _opening(reply_id: str, body: dict[str, Any], plan: Plan) -> bytes:
    usage = {} if plan.answer.usage == "absent" else {"usage": _counts(plan, min(1, plan.output))}
    stop = {"stop_reason": None, "stop_sequence": None}
    message = {**_common(reply_id, body), "content": [], **stop, **usage}
    events = _event({"type": "message_start", "message": message}) + _event({"type": "ping"})
    for block in _thinking(plan):
        events += _block_start(0, {"type": "thinking", "thinking": "", "signature": ""})
        if block["thinking"]:
            events += _block_delta(0, {"type": "thinking_delta", "thinking": block["thinking"]})
        events += _block_delta(0, {"type": "signature_delta", "signature": block["signature"]})
        events += _block_stop(0)
    return events


def _common(reply_id: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{reply_id}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
    }


def _thinking(plan: Plan) -> list[dict[str, Any]]:
    block = {"type": "thinking", "thinking": plan.answer.thinking, "signature": "c2lnbmVk"}
    return [block] if plan.reasoning else []


def _blocks(reply_id: str, plan: Plan) -> list[dict[str, Any]]:
    """A tool whose arguments a limit has cut has no input."""
    blocks: list[dict[str, Any]] = []
    texts: dict[int | None, str] = {}
    for fragment in plan.whole():
        if fragment.tool not in texts:
            blocks.append(_empty_block(reply_id, plan, fragment))
        texts[fragment.tool] = texts.get(fragment.tool, "") + fragment.text
    for block, (tool, text) in zip(blocks, texts.items(), strict=True):
        if tool is None:
            block["text"] = text
        elif text == json.dumps(plan.answer.tools[tool].arguments):
            block["input"] = plan.answer.tools[tool].arguments
    return blocks


def _empty_block(reply_id: str, plan: Plan, fragment: Fragment) -> dict[str, Any]:
    if fragment.tool is None:
        return {"type": "text", "text": ""}
    name = plan.answer.tools[fragment.tool].name
    tool_id = f"toolu_{reply_id}_{fragment.tool}"
    return {"type": "tool_use", "id": tool_id, "name": name, "input": {}}


def _delta(plan: Plan, fragment: Fragment) -> dict[str, Any]:
    if fragment.tool is None:
        return {"type": "text_delta", "text": fragment.text}
    # The provider sends nothing for the input {}.
    text = fragment.text if plan.answer.tools[fragment.tool].arguments else ""
    return {"type": "input_json_delta", "partial_json": text}


def _stop_reason(plan: Plan) -> str:
    return _STOP_REASONS.get(plan.finish_reason, plan.finish_reason)


def _usage(plan: Plan) -> dict[str, Any]:
    """Cumulative: what the opening has said is in it again."""
    details = {"thinking_tokens": plan.reasoning}
    return {**_counts(plan, plan.output), "output_tokens_details": details}


def _counts(plan: Plan, output: int) -> dict[str, Any]:
    answer = plan.answer
    counts = {
        "input_tokens": plan.input_tokens - answer.cached_tokens - answer.cache_write_tokens,
        "output_tokens": output,
    }
    if answer.malformed is not None:
        counts = dict.fromkeys(counts, answer.malformed)
    cached = {
        "cache_creation_input_tokens": answer.cache_write_tokens,
        "cache_read_input_tokens": answer.cached_tokens,
    }
    return {**counts, **cached}


def _block_start(index: int, block: dict[str, Any]) -> bytes:
    return _event({"type": "content_block_start", "index": index, "content_block": block})


def _block_delta(index: int, delta: dict[str, Any]) -> bytes:
    return _event({"type": "content_block_delta", "index": index, "delta": delta})


def _block_stop(index: int) -> bytes:
    return _event({"type": "content_block_stop", "index": index})


def _event(value: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), dumps(value))
