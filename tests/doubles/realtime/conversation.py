"""The items of a conversation, and the input tokens that they are."""

import base64
import json
import math
from typing import Any
from uuid import uuid4

from tests.doubles.prompt import CHARACTERS_PER_TOKEN
from tests.doubles.realtime.hearing import RATES
from tests.doubles.realtime.settings import Invalid, Settings

Item = dict[str, Any]

HEARD_PER_SECOND = 10
SPOKEN_PER_SECOND = 20
_PER_ITEM = 2
_PER_IMAGE = 100
KINDS = {"message", "function_call", "function_call_output", "item_reference"}


def new_id(kind: str) -> str:
    return f"{kind}_{uuid4().hex[:20]}"


def heard(seconds: float) -> int:
    return math.ceil(seconds * HEARD_PER_SECOND)


def of_text(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


class Conversation:
    def __init__(self) -> None:
        self.conversation_id = new_id("conv")
        self.items: list[Item] = []
        self._tokens: dict[str, int] = {}

    def add(self, item: Item, tokens: int, after: str | None = None) -> str | None:
        """At the end, or after an item; "root" is the beginning. The ID of the one before it."""
        known = [each["id"] for each in self.items]
        if after not in (None, "root", *known):
            raise Invalid("item_not_found", "The previous item does not exist.")
        place = len(known) if after is None else 0 if after == "root" else known.index(after) + 1
        self.items.insert(place, item)
        self._tokens[item["id"]] = tokens
        return known[place - 1] if place else None

    def replace(self, item: Item, tokens: int) -> None:
        """One with the same ID, if it was not deleted meanwhile."""
        for place, each in enumerate(self.items):
            if each["id"] == item["id"]:
                self.items[place] = item
                self._tokens[item["id"]] = tokens

    def remove(self, item_id: object) -> None:
        self.items.remove(self.find(item_id))

    def find(self, item_id: object) -> Item:
        for item in self.items:
            if item["id"] == item_id:
                return item
        raise Invalid("item_not_found", "The item does not exist.", "item_id")

    def truncate(self, item_id: object, audio_end_ms: int) -> None:
        self.find(item_id)
        tokens = _PER_ITEM + math.ceil(audio_end_ms / 1000 * SPOKEN_PER_SECOND)
        self._tokens[str(item_id)] = min(tokens, self._tokens[str(item_id)])

    def tokens(self) -> int:
        return sum(self._tokens[item["id"]] for item in self.items)

    def tokens_of(self, item: Item, kind: str) -> int:
        """Of an item that is given; an `item_reference` costs what it refers to."""
        if item.get("type") == "item_reference":
            return self._tokens[self.find(item.get("id"))["id"]]
        parts = item.get("content") or []
        texts = [str(part.get("text") or part.get("transcript") or "") for part in parts]
        texts += [str(item.get(name) or "") for name in ("arguments", "output")]
        audio = sum(len(base64.b64decode(part.get("audio") or "")) for part in parts)
        images = [part for part in parts if part.get("type") == "input_image"]
        text_tokens = sum(map(of_text, texts))
        return _PER_ITEM + text_tokens + heard(audio / RATES[kind]) + len(images) * _PER_IMAGE


def of_settings(settings: Settings) -> int:
    tools = settings.get("tools")
    return of_text(settings.get("instructions") or "") + (
        of_text(json.dumps(tools)) if tools else 0
    )


def checked(item: object) -> Item:
    """An item of the client's as the conversation keeps it. Raises Invalid."""
    if not isinstance(item, dict) or item.get("type") not in KINDS:
        raise Invalid("invalid_value", "Invalid value of 'item.type'.", "item.type")
    return {"id": new_id("item"), "object": "realtime.item", "status": "completed", **item}
