"""Details of reasoning: lists that a provider wants back as they were, as there are signatures of
it in them. Without those, calls of tools are refused in the next turn.

`reasoning_details` are OpenRouter's, `thinking_blocks` LiteLLM's. In a stream each comes in parts:
texts that are to be joined, and at their end the signature.

Sources: openrouter.ai/docs, preserving reasoning; docs.litellm.ai, reasoning content.
"""

from typing import Any

import orjson

from server.providers.identifiers import from_letters, to_letters
from server.providers.reading import objects
from server.structure import structure_of

DETAILS = frozenset({"reasoning_details", "thinking_blocks"})
LONGEST = 256 * 1024
"""Bytes of those of one block. Longer ones are left out: they would be of no use in parts."""
_TEXTS = ("text", "summary", "thinking")
_PART_BYTES = 500
_MOST_VALUES = 20_000
_MOST_DEPTH = 32

Members = dict[str, list[dict[str, Any]]]


def details_of(message: dict[str, Any]) -> Members:
    """Of a whole message, or of a delta."""
    return {
        name: parts for name in DETAILS if name in message and (parts := objects(message[name]))
    }


class Details:
    """Those of one block of a stream."""

    def __init__(self) -> None:
        self.kept = 0
        """About how many bytes of memory they take."""
        self._parts: dict[str, list[dict[str, Any]]] = {}
        self._texts: dict[str, list[list[str]]] = {}
        """Of each part what is to be joined."""

    def add(self, members: Members) -> None:
        if self.kept > LONGEST:
            return
        for name, parts in members.items():
            for part in parts:
                self._add(name, part)
        if self.kept > LONGEST:
            self._parts, self._texts = {}, {}

    def joined(self) -> Members:
        for name, parts in self._parts.items():
            for part, texts in zip(parts, self._texts[name], strict=True):
                if texts:
                    part[_text_member(part)] = "".join(texts)
        return self._parts

    def _add(self, name: str, part: dict[str, Any]) -> None:
        parts, texts = self._parts.setdefault(name, []), self._texts.setdefault(name, [])
        self.kept += len(orjson.dumps(part)) + _PART_BYTES
        member = _text_member(part)
        if not parts or not _goes_on(parts[-1], part, member):
            parts.append(dict(part))
            texts.append([part[member]] if member else [])
            return
        if member:
            texts[-1].append(part[member])
        parts[-1] |= {key: value for key, value in part.items() if value is not None}


def encoded(members: Members) -> str:
    """In letters that a signature may have; '' for what is too long."""
    try:
        text = orjson.dumps(members)
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        return ""
    return to_letters(text) if members and len(text) <= LONGEST else ""


class Decoder:
    """Of the blocks of one request, which together may have no more than a share of its values."""

    def __init__(self) -> None:
        self._values_left = _MOST_VALUES

    def decoded(self, text: str) -> Members:
        """What was `encoded`; {} for anything else, as a client may have changed it."""
        try:
            raw = from_letters(text)
            structure = structure_of(raw, self._values_left, _MOST_DEPTH)
            if structure is None:
                return {}
            self._values_left -= structure.values
            value = orjson.loads(raw)
        except ValueError:
            return {}
        return details_of(value) if isinstance(value, dict) else {}


def _text_member(part: dict[str, Any]) -> str:
    """'' if it has none."""
    return next((name for name in _TEXTS if isinstance(part.get(name), str)), "")


def _goes_on(before: dict[str, Any], part: dict[str, Any], member: str) -> bool:
    """Is it of the same text?"""
    return (
        not before.get("signature")
        and "data" not in part
        and all(before.get(name) == part.get(name) for name in ("type", "index"))
        and part.get("id") in (None, before.get("id"))
        and (member == _text_member(before) if member else "signature" in part)
    )
