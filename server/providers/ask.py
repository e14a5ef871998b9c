"""What a client asks of a provider, as far as its cost depends on it."""

from dataclasses import dataclass
from typing import Any

from server.amounts import is_amount
from server.errors import Unsupported
from server.providers.reading import a_list, count

PROMPT = "prompt/"
"""Before a server prompt's name it is what a client asks for instead of a model."""
MOST_CHOICES = 128
LONGEST_MODEL = 16_384
"""Far beyond any. What a model can do is read off its name, which takes time by its length."""
LOGPROB_BYTES = 120
"""Of a reply, for a token and again for each of its alternatives; 110 on average."""
_LOGPROBS = "message.output_text.logprobs"


@dataclass(slots=True)
class Ask:
    """What a body asks for; `limit` in output tokens a choice, None if it names none. The logprobs
    of a token have `logprob_bytes` in the reply. `prompt` is the name of the server prompt that is
    asked for, '' for none: then nobody may learn from the answer what it was made of."""

    model: str
    limit: int | None
    choices: int
    stream: bool
    include_usage: bool
    thinking_budget: int
    logprob_bytes: int
    prompt: str = ""
    previous: str = ""
    """The ID of the response that it goes on with."""


def of_chat(body: dict[str, Any]) -> Ask:
    """Raises Unsupported."""
    newer, limit = _count(body, "max_completion_tokens", 1), _count(body, "max_tokens", 1)
    if newer is not None:
        limit = newer
    choices = _count(body, "n", 1)
    if choices is not None and choices > MOST_CHOICES:
        raise Unsupported("n", f"n must be at most {MOST_CHOICES}")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise Unsupported("stream_options", "stream_options must be an object")
    include_usage = bool(options and options.get("include_usage"))
    logprobs = 0
    if body.get("logprobs") or body.get("top_logprobs"):
        logprobs = LOGPROB_BYTES * (1 + count(body.get("top_logprobs")))
    _require_messages(body)
    return Ask(model_of(body), limit, choices or 1, _stream(body), include_usage, 0, logprobs)


def of_messages(body: dict[str, Any]) -> Ask:
    """Raises Unsupported."""
    thinking = body.get("thinking")
    budget = _count(thinking, "budget_tokens", 0) if isinstance(thinking, dict) else None
    # 0 is legal: it warms the provider's cache.
    limit = _count(body, "max_tokens", 0)
    _require_messages(body)
    return Ask(model_of(body), limit, 1, _stream(body), True, budget or 0, 0)


def of_responses(body: dict[str, Any]) -> Ask:
    """Raises Unsupported."""
    turns, limit, logprobs = body.get("input"), _count(body, "max_output_tokens", 1), 0
    if not isinstance(turns, str) and (not isinstance(turns, list) or not turns):
        raise Unsupported("input", "input must be a string, or a list with at least one item")
    if body.get("top_logprobs") or _LOGPROBS in a_list(body.get("include")):
        logprobs = LOGPROB_BYTES * (1 + count(body.get("top_logprobs")))
    previous = body.get("previous_response_id")
    if previous is not None and not isinstance(previous, str):
        raise Unsupported("previous_response_id", "previous_response_id must be a string")
    stream = _stream(body)
    return Ask(model_of(body), limit, 1, stream, True, 0, logprobs, previous=previous or "")


def model_of(body: dict[str, Any]) -> str:
    """'' if it names none. Raises Unsupported."""
    model = body.get("model")
    if model is not None and not (isinstance(model, str) and len(model) <= LONGEST_MODEL):
        message = f"model must be a string of at most {LONGEST_MODEL} characters"
        raise Unsupported("model", message)
    return model or ""


def _require_messages(body: dict[str, Any]) -> None:
    """Raises Unsupported."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Unsupported("messages", "messages must be a list with at least one message")


def _stream(body: dict[str, Any]) -> bool:
    stream = body.get("stream")
    if stream is not None and type(stream) is not bool:
        raise Unsupported("stream", "stream must be true or false")
    return bool(stream)


def _count(body: dict[str, Any], name: str, least: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not is_amount(value, least):
        raise Unsupported(name, f"{name} must be an integer of at least {least}")
    return value
