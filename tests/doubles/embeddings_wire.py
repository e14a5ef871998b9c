"""OpenAI's embeddings. Source: the schemas of the openai SDK (types/create_embedding_response)."""

import base64
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from tests.doubles import openai_wire
from tests.doubles.plan import Plan

PROTOCOL = "openai"
HEADERS = openai_wire.HEADERS
error, error_event = openai_wire.error, openai_wire.error_event

DIMENSIONS = 4
_USUAL = {"dimensions", "encoding_format", "input", "model", "user"}


def fault_of(headers: Mapping[str, str], body: dict[str, Any]) -> str:
    if not isinstance(body.get("model"), str):
        return "you must provide a model parameter"
    if others := body.keys() - _USUAL:
        return f"Unknown parameter: '{min(others)}'."
    return "" if body.get("input") else "'$.input' is invalid."


def limit_of(body: dict[str, Any]) -> int:
    """Nothing is put out."""
    return 0


def choices_of(body: dict[str, Any]) -> int:
    return 1


def vector(number: int, dimensions: int = DIMENSIONS) -> list[float]:
    """Of the input of this number; in 32 bits the same as in 64."""
    return [number + place / 4 for place in range(dimensions)]


def reply(reply_id: str, body: dict[str, Any], plan: Plan) -> dict[str, Any]:
    given = body["input"]
    count = 1 if isinstance(given, str) or isinstance(given[0], int) else len(given)
    dimensions = body.get("dimensions") or DIMENSIONS
    vectors: list[Any] = [vector(number, dimensions) for number in range(count)]
    if body.get("encoding_format") == "base64":
        vectors = [
            base64.b64encode(struct.pack(f"<{dimensions}f", *one)).decode() for one in vectors
        ]
    data = [
        {"object": "embedding", "index": index, "embedding": one}
        for index, one in enumerate(vectors)
    ]
    usage = {"prompt_tokens": plan.input_tokens, "total_tokens": plan.input_tokens}
    if plan.answer.malformed is not None:
        usage = dict.fromkeys(usage, plan.answer.malformed)
    told = {} if plan.answer.usage == "absent" else {"usage": usage}
    return {"object": "list", "model": body["model"], "data": data, **told}


def steps(reply_id: str, body: dict[str, Any], plan: Plan) -> Iterator[bytes]:
    raise NotImplementedError("embeddings are not streamed")
