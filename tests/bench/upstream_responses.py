"""What the benchmark's provider gives as a response: as many events as a completion has chunks."""

from typing import Any

import orjson

_COMMON = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_790_000_000,
    "model": "bench-model",
    "error": None,
    "incomplete_details": None,
    "instructions": "You are a helpful assistant. Answer briefly.",
    "max_output_tokens": 200,
    "parallel_tool_calls": True,
    "store": False,
    "temperature": 0.7,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
}
_PLACE: dict[str, Any] = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


def reply_of(text: str, output_tokens: int) -> dict[str, Any]:
    usage = {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 20 + output_tokens,
    }
    return {**_COMMON, "status": "completed", "output": [_item(text)], "usage": usage}


def events_of(chunks: int) -> list[bytes]:
    """Framed, of which all but the opening, the closing and the last are deltas."""
    begun = {"response": {**_COMMON, "status": "in_progress", "output": [], "usage": None}}
    part = {"type": "output_text", "text": "", "annotations": []}
    opening: list[tuple[str, dict[str, Any]]] = [
        ("response.created", begun),
        ("response.in_progress", begun),
        ("response.output_item.added", {"output_index": 0, "item": _item("")}),
        ("response.content_part.added", {**_PLACE, "part": part}),
    ]
    deltas = chunks - len(opening) - 4
    text = " metering" * deltas
    delta = {**_PLACE, "delta": " metering", "logprobs": [], "obfuscation": "a8Kx01"}
    closing: list[tuple[str, dict[str, Any]]] = [
        ("response.output_text.done", {**_PLACE, "text": text, "logprobs": []}),
        ("response.content_part.done", {**_PLACE, "part": {**part, "text": text}}),
        ("response.output_item.done", {"output_index": 0, "item": _item(text)}),
        ("response.completed", {"response": reply_of(text, chunks)}),
    ]
    each: list[tuple[str, dict[str, Any]]] = [
        *opening,
        *([("response.output_text.delta", delta)] * deltas),
        *closing,
    ]
    return [_framed(kind, number, members) for number, (kind, members) in enumerate(each)]


def _item(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}] if text else []
    status = "completed" if text else "in_progress"
    said = {"role": "assistant", "content": content}
    return {"id": "msg_1", "type": "message", "status": status, **said}


def _framed(kind: str, number: int, members: dict[str, Any]) -> bytes:
    data = orjson.dumps({"type": kind, "sequence_number": number, **members})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
