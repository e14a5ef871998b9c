"""Messages as endpoints of chat completions take them, which want one message for each answer, and
the results of all its calls next."""

from itertools import chain
from typing import Any

Message = dict[str, Any]


def in_turns(messages: list[Message]) -> list[Message]:
    """Answers in a row are one; results come before what else stands between two answers. Results
    take text alone: an image of one has a number there, and stands under it in a message of the
    user's after all results."""
    found: list[Message] = []
    answer: list[Message] = []
    between: list[Message] = []
    for message in messages:
        if message["role"] == "assistant":
            found += _results_first(between)
            between = []
            answer.append(message)
        else:
            found += _joined(answer)
            answer = []
            between.append(message)
    return [*found, *_joined(answer), *_results_first(between)]


def _joined(answer: list[Message]) -> list[Message]:
    """The one message of an answer; none if there is nothing in it."""
    texts = [message["content"] for message in answer if message.get("content")]
    pieces: dict[str, list[Any]] = {}
    for message in answer:
        for name, value in message.items():
            if name not in ("role", "content"):
                pieces.setdefault(name, []).append(value)
    # Reasoning is a text or a list, calls are lists.
    rest = {
        name: "".join(values) if isinstance(values[0], str) else list(chain(*values))
        for name, values in pieces.items()
    }
    if not texts and "tool_calls" not in rest:
        return []
    return [{"role": "assistant", "content": "\n".join(texts) or None, **rest}]


def _results_first(messages: list[Message]) -> list[Message]:
    results: list[Message] = []
    images: list[dict[str, Any]] = []
    others: list[Message] = []
    for message in messages:
        if message["role"] != "tool":
            others.append(message)
        elif isinstance(message["content"], str):
            results.append(message)
        else:
            results.append({**message, "content": _numbered(message["content"], images)})
    shown = [{"role": "user", "content": images}] if images else []
    return [*results, *shown, *others]


def _numbered(parts: list[dict[str, Any]], images: list[dict[str, Any]]) -> str:
    """The text of a result; its images are added to those of the others, each after its number."""
    texts = []
    for part in parts:
        if part["type"] == "text":
            texts.append(part["text"])
            continue
        texts.append(f"[image {len(images) // 2 + 1}]")
        images += [{"type": "text", "text": f"{texts[-1]}:"}, part]
    return "\n".join(filter(None, texts))
