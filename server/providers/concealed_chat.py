"""What of a chat completion may be seen where the prompt may not."""

from time import time
from typing import Any

from server.providers.endings import ending_of
from server.providers.for_chat.reply import reason_for
from server.providers.for_messages.reply import calls_of, function_of
from server.providers.reading import an_object, count, objects, string
from server.providers.usage import numbers_in

_TEXTS = (None, "text", "output_text")


class ConcealedChat:
    """Of one completion, whole or in chunks."""

    kept = 0

    def __init__(self, reply_id: str, model: str) -> None:
        self._envelope = {"id": reply_id, "created": int(time()), "model": model}
        self._has_begun = False

    def reply(self, reply: dict[str, Any]) -> dict[str, Any]:
        choices = [_choice(one, "message") for one in objects(reply.get("choices"))]
        for choice in choices:
            choice["message"].setdefault("content", None)
        found = {**self._envelope, "object": "chat.completion", "choices": choices}
        usage = _usage(reply)
        return found if usage is None else {**found, "usage": usage}

    def event(self, event: dict[str, Any]) -> dict[str, Any] | None:
        given = [_choice(one, "delta") for one in objects(event.get("choices"))]
        choices = [one for one in given if self._says_something(one)]
        usage = _usage(event)
        if not choices and usage is None:
            return None
        self._has_begun = True
        found = {**self._envelope, "object": "chat.completion.chunk", "choices": choices}
        return found if usage is None else {**found, "usage": usage}

    def _says_something(self, choice: dict[str, Any]) -> bool:
        """Not that the model reasons: some servers repeat the role with that."""
        said = choice["delta"].keys() - ({"role"} if self._has_begun else ())
        return bool(said) or choice["finish_reason"] is not None


def _choice(choice: dict[str, Any], member: str) -> dict[str, Any]:
    ending = ending_of(choice.get("finish_reason"))
    return {
        "index": count(choice.get("index")),
        member: _message(an_object(choice.get(member))),
        "logprobs": None,
        "finish_reason": None if ending is None else reason_for(ending),
    }


def _message(message: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"role": "assistant"} if "role" in message else {}
    for name in ("content", "refusal"):
        text = _text(message.get(name))
        if text is not None:
            found[name] = text
    calls = calls_of(message, message.get("tool_calls"))
    if calls:
        found["tool_calls"] = [_call(one, number) for number, one in enumerate(calls)]
    return found


def _text(content: Any) -> str | None:
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    parts = [part for part in objects(content) if part.get("type") in _TEXTS]
    return "".join(string(part.get("text")) for part in parts)


def _call(call: dict[str, Any], number: int) -> dict[str, Any]:
    function, given = {}, function_of(call)
    for name in ("name", "arguments"):
        if given.get(name) is not None:
            function[name] = given[name]
    index = call["index"] if type(call.get("index")) is int else number
    named = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
    return {"index": index, **named, "type": "function", "function": function}


def _usage(reply: dict[str, Any]) -> dict[str, Any] | None:
    places = [reply, an_object(reply.get("x_groq")), *objects(reply.get("choices"))]
    return next((found for one in places if (found := numbers_in(one.get("usage")))), None)
