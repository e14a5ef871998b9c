"""Quirks: how servers send something else than their protocol says, a line each.

A quirk is given each object that is sent, a chunk, an event or a whole reply, and gives what is
sent instead. `Answer(quirks=(usage(total_tokens=0), finish("SAFETY")))` has two of them.
"""

import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

Sent = dict[str, Any]
Quirk = Callable[[Sent], list[Sent]]


def usage(**members: Any) -> Quirk:
    """Each usage has these members; one that is None is left out."""
    return lambda sent: [_with_usage(sent, members)]


def usage_again(**members: Any) -> Quirk:
    """After what reports the usage it is reported once more, with these members."""
    return lambda sent: [sent, _with_usage(sent, members)] if _is_last_report(sent) else [sent]


def usage_in(place: str) -> Quirk:
    """In `x_groq`, or in a `choice`, instead of beside the choices (OpenAI's only)."""

    def quirk(sent: Sent) -> list[Sent]:
        if "choices" not in sent or not sent.get("usage"):
            return [sent]
        rest = {name: value for name, value in sent.items() if name != "usage"}
        if place == "x_groq":
            return [{**rest, "x_groq": {"usage": sent["usage"]}}]
        choices = sent["choices"] or [{"index": 0, "delta": {}, "finish_reason": None}]
        return [{**rest, "choices": [{**choice, "usage": sent["usage"]} for choice in choices]}]

    return quirk


def finish(reason: Any, **members: Any) -> Quirk:
    """Whatever the reason is; `members` stand beside it."""

    def quirk(sent: Sent) -> list[Sent]:
        sent = deepcopy(sent)
        for holder in [sent, sent.get("delta"), *(sent.get("choices") or [])]:
            for name in ("finish_reason", "stop_reason"):
                if isinstance(holder, dict) and holder.get(name):
                    holder.update({name: reason, **members})
        return [sent]

    return quirk


def everywhere(**members: Any) -> Quirk:
    """In each but the last, which tests know word by word."""
    return lambda sent: [sent if sent.get("type") == "message_stop" else {**sent, **members}]


def _finish_in_capitals(sent: Sent) -> list[Sent]:
    sent = deepcopy(sent)
    for choice in sent.get("choices") or []:
        if choice["finish_reason"]:
            choice["finish_reason"] = choice["finish_reason"].upper()
    return [sent]


HARMLESS: dict[str, Quirk] = {
    "the total is 0": usage(total_tokens=0),
    "the total is one part": usage(total_tokens=1),
    "counts fall to 0": usage_again(**dict.fromkeys(("prompt_tokens", "input_tokens"), 0)),
    "all counts fall": usage_again(
        prompt_tokens=0, completion_tokens=0, total_tokens=0, input_tokens=0, output_tokens=0
    ),
    "usage in x_groq": usage_in("x_groq"),
    "usage in a choice": usage_in("choice"),
    "null errors": everywhere(error=None),
    "reasons in capitals": _finish_in_capitals,
}
"""Those that change neither what is charged nor how it ends."""


def apply(quirks: Iterable[Quirk], sent: Sent) -> list[Sent]:
    found = [sent]
    for quirk in quirks:
        found = [made for each in found for made in quirk(each)]
    return found


def apply_to_frames(quirks: tuple[Quirk, ...], events: bytes) -> bytes:
    """The same for framed events; what is no JSON stays."""
    if not quirks:
        return events
    frames = []
    for frame in events.split(b"\n\n")[:-1]:
        name, _, data = frame.rpartition(b"data: ")
        try:
            made = apply(quirks, json.loads(data))
        except ValueError:
            frames.append(frame + b"\n\n")
        else:
            frames += [b"%bdata: %b\n\n" % (name, _dumps(each)) for each in made]
    return b"".join(frames)


def _dumps(value: Sent) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _with_usage(sent: Sent, members: Sent) -> Sent:
    for holder in ("message", "response"):
        if isinstance(sent.get(holder), dict):
            return {**sent, holder: _with_usage(sent[holder], members)}
    if not sent.get("usage"):
        return sent
    counts = {**sent["usage"], **members}
    return {**sent, "usage": {name: value for name, value in counts.items() if value is not None}}


def _is_last_report(sent: Sent) -> bool:
    return bool(sent.get("usage")) and sent.get("type", "message_delta") == "message_delta"
