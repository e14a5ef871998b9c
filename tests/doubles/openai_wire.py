"""OpenAI's chat completions.

Source: the schemas of the openai SDK (types/chat) and developers.openai.com/api/reference.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from tests.doubles.plan import Fragment, Plan
from tests.doubles.prompt import has_messages, parts_of
from tests.doubles.wire import dumps

PROTOCOL = "openai"
HEADERS = {
    "x-request-id": "req_0123456789",
    "openai-organization": "org-of-the-tenant",
    "openai-processing-ms": "12",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-tokens": "6m0s",
}

_ERRORS: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    503: ("service_unavailable_error", "server_is_overloaded"),
}


def fault_of(headers: Mapping[str, str], body: dict[str, Any]) -> str:
    if not isinstance(body.get("model"), str):
        return "you must provide a model parameter"
    if not has_messages(body):
        return "Missing required parameter: 'messages'."
    if len(_limits(body)) > 1:
        return "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
    limit = limit_of(body)
    if limit is not None and (type(limit) is not int or limit < 1):
        return "Invalid 'max_tokens': integer below minimum value."
    if type(body.get("n") or 1) is not int:
        return "Invalid type for 'n': expected an integer."
    if body.get("stream_options") and not body.get("stream"):
        return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    return _fault_of_turns(body["messages"])


def _fault_of_turns(messages: list[dict[str, Any]]) -> str:
    asked: set[Any] = set()
    for message in messages:
        if message.get("role") == "assistant":
            asked = {call.get("id") for call in message.get("tool_calls") or []}
        elif message.get("role") == "tool":
            if message.get("tool_call_id") not in asked:
                return "messages with role 'tool' must be a response to 'tool_calls'."
            asked.discard(message["tool_call_id"])
        elif asked:
            return "An assistant message with 'tool_calls' must be followed by tool messages."
        for part in parts_of(message):
            image = part.get("image_url")
            if part.get("type") == "image_url" and not (
                isinstance(image, dict) and image.get("url")
            ):
                return "Invalid image URL."
    return ""


def limit_of(body: dict[str, Any]) -> int | None:
    return next(iter(_limits(body)), None)


def _limits(body: dict[str, Any]) -> list[int]:
    given = (body.get("max_completion_tokens"), body.get("max_tokens"))
    return [limit for limit in given if limit is not None]


def choices_of(body: dict[str, Any]) -> int:
    return int(body.get("n") or 1)


def error(status: int, code: str, message: str) -> dict[str, Any]:
    kind, usual = _ERRORS.get(status, ("server_error", None))
    if code == "insufficient_quota":
        kind = code
    return {"error": {"message": message, "type": kind, "param": None, "code": code or usual}}


def error_event(code: str) -> bytes:
    return _data(error(500, code, "The server had an error while processing your request."))


def reply(reply_id: str, body: dict[str, Any], plan: Plan) -> dict[str, Any]:
    usage = {} if plan.answer.usage == "absent" else {"usage": _usage(plan)}
    choices = [
        {
            "index": index,
            "message": _message(reply_id, plan),
            "logprobs": None,
            "finish_reason": plan.finish_reason,
        }
        for index in range(plan.choices)
    ]
    return {**_common("chat.completion", reply_id, body), "choices": choices, **usage}


def steps(reply_id: str, body: dict[str, Any], plan: Plan) -> Iterator[bytes]:
    usage = plan.answer.usage
    asked = bool((body.get("stream_options") or {}).get("include_usage"))
    common = _common("chat.completion.chunk", reply_id, body) | ({"usage": None} if asked else {})

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        return b"".join(
            _data(common | {"choices": [_choice(index, delta, finish_reason)]})
            for index in range(plan.choices)
        )

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for fragment in plan.fragments():
        yield b"".join(chunk(delta) for delta in _deltas(reply_id, plan, fragment))
    if plan.answer.without_finish:
        return
    if usage == "with_choices":
        common["usage"] = _usage(plan)
    yield chunk({}, plan.finish_reason)
    end = _data(common | {"choices": [], "usage": _usage(plan)})
    done = b"" if plan.answer.without_done else f"data: {plan.answer.done}\n\n".encode()
    yield (end if asked and usage == "reported" else b"") + done


def _common(kind: str, reply_id: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{reply_id}",
        "object": kind,
        "created": int(time.time()),
        "model": body["model"],
        "service_tier": "default",
        "system_fingerprint": "fp_double",
    }


def _message(reply_id: str, plan: Plan) -> dict[str, Any]:
    text, arguments = "", [""] * len(plan.answer.tools)
    for fragment in plan.whole():
        if fragment.tool is None:
            text += fragment.text
        else:
            arguments[fragment.tool] += fragment.text
    calls = []
    for number, tool in enumerate(plan.answer.tools):
        function = {"name": tool.name, "arguments": arguments[number]}
        if arguments[number]:
            calls.append({**_tool(reply_id, number), "function": function})
    message = {"role": "assistant", "content": text or None, "refusal": None}
    return {**message, "annotations": [], **({"tool_calls": calls} if calls else {})}


def _deltas(reply_id: str, plan: Plan, fragment: Fragment) -> list[dict[str, Any]]:
    """Each call of a tool begins with a delta that has its name and no arguments."""
    if fragment.tool is None:
        return [{"content": fragment.text}]
    number = fragment.tool
    function = {"name": plan.answer.tools[number].name, "arguments": ""}
    begun = {"index": number, **_tool(reply_id, number), "function": function}
    more = {"index": number, "function": {"arguments": fragment.text}}
    return [{"tool_calls": [call]} for call in ([begun, more] if fragment.begins else [more])]


def _tool(reply_id: str, number: int) -> dict[str, Any]:
    return {"id": f"call_{reply_id}_{number}", "type": "function"}


def _choice(index: int, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def usage_of(plan: Plan, read: str, written: str, **more: int) -> dict[str, Any]:
    """What it calls the tokens that are read, and those that are written; `more` of these."""
    answer = plan.answer
    counts = {
        f"{read}_tokens": plan.input_tokens,
        f"{written}_tokens": plan.output,
        "total_tokens": plan.input_tokens + plan.output,
    }
    if answer.malformed is not None:
        counts = dict.fromkeys(counts, answer.malformed)
    cached = {
        "cached_tokens": answer.cached_tokens,
        "cache_write_tokens": answer.cache_write_tokens,
    }
    details = {"reasoning_tokens": plan.reasoning, **more}
    return {**counts, f"{read}_tokens_details": cached, f"{written}_tokens_details": details}


def _usage(plan: Plan) -> dict[str, Any]:
    return usage_of(plan, "prompt", "completion", audio_tokens=0)


def _data(value: object) -> bytes:
    return b"data: " + dumps(value) + b"\n\n"
