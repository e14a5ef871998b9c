"""OpenAI's moderations. Source: the openai SDK (types/moderation_create_response)."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.doubles import openai_wire
from tests.doubles.plan import Plan

PROTOCOL = "openai"
HEADERS = openai_wire.HEADERS
error, error_event = openai_wire.error, openai_wire.error_event


def fault_of(headers: Mapping[str, str], body: dict[str, Any]) -> str:
    given, model = body.get("input"), body.get("model")
    if not given:
        return "Missing required parameter: 'input'."
    are_inputs = isinstance(given, list) and all(isinstance(one, (str, dict)) for one in given)
    if not (isinstance(given, str) or are_inputs):
        return "Invalid type for 'input'."
    return "" if model is None or isinstance(model, str) else "Invalid type for 'model'."


def limit_of(body: dict[str, Any]) -> int:
    """Nothing is put out."""
    return 0


def choices_of(body: dict[str, Any]) -> int:
    return 1


def reply(reply_id: str, body: dict[str, Any], plan: Plan) -> dict[str, Any]:
    given = body["input"]
    texts = [given] if isinstance(given, str) else given
    results = [
        {
            "flagged": "violence" in str(text),
            "categories": {"violence": "violence" in str(text)},
            "category_scores": {"violence": 0.5},
            "category_applied_input_types": {"violence": ["text"]},
        }
        for text in texts
    ]
    return {"id": f"modr-{reply_id}", "model": body.get("model") or "omni", "results": results}


def steps(reply_id: str, body: dict[str, Any], plan: Plan) -> Iterator[bytes]:
    raise NotImplementedError("moderations are not streamed")
