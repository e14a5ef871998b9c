"""The output of a response: its items, in the order in which they begin.

Texts in a row are one item, each a part of it. Calls are told to be over when something comes after
them, or the end: only that says if they were cut.
"""

from typing import Any, Literal

import orjson

from server.providers.for_responses.output_items import (
    Call,
    CustomCall,
    Event,
    FunctionCall,
    Item,
    Message,
    Reasoning,
    Status,
)
from server.providers.reading import string

_ITEM_BYTES = 1_000
"""That an item takes in memory, besides its texts."""
_PART_BYTES = 400
"""That a part of a message takes, or a source of one, besides its texts."""


class Output:
    """`origin`: the endpoint's name."""

    def __init__(self, origin: str) -> None:
        self.kept = 0
        """About how many bytes of memory it takes: all, as the end of a response repeats it."""
        self._origin = origin
        self._items: list[Item] = []
        self._open: dict[int, Item] = {}
        """Those that are not of text, by the block's index."""
        self._stopped: list[Item] = []
        self._message: Message | None = None
        self._sources: list[dict[str, Any]] = []
        """Of the text that is open, or comes next."""

    def items(self) -> list[dict[str, Any]]:
        return [one.item for one in self._items]

    def text(self, kind: Literal["output_text", "refusal"], text: str) -> list[Event]:
        if not text:
            return []
        events: list[Event] = []
        if self._message is None:
            self._message = Message(len(self._items))
            events = [*self._end_stopped(), *self._begin(self._message)]
        if opened := self._message.open(kind):
            self.kept += _PART_BYTES
        return [*events, *opened, *self._add(self._message, text)]

    def cite(self, sources: list[dict[str, Any]]) -> None:
        """The text that is open, or comes next, is from these; as in annotations.py."""
        self._sources += sources
        for one in sources:
            self.kept += _PART_BYTES
            self._keep(one["url"], one["title"])

    def think(self, index: int, kind: str, given: str) -> list[Event]:
        """Thoughts begin, in a block of this type; `given`: its signature, or its data."""
        self._keep(given)
        return self._begin_block(index, Reasoning(len(self._items), kind, given, self._origin))

    def call(self, index: int, call_id: str, named: dict[str, Any], given: str) -> list[Event]:
        """A call begins; `given`: its arguments, if none come."""
        self._keep(call_id, given, *map(string, named.values()))
        kind = CustomCall if named.pop("type", "") == "custom_tool_call" else FunctionCall
        return self._begin_block(index, kind(len(self._items), call_id, named, given))

    def add_thoughts(self, index: int, text: str, signature: str) -> list[Event]:
        events: list[Event] = []
        item = self._open.get(index)
        if not isinstance(item, Reasoning):  # some servers do not say that a block begins
            events = self.think(index, "thinking", "")
            return [*events, *self.add_thoughts(index, text, signature)]
        if signature:
            self._keep(signature)
            item.sign(signature)
        return self._add(item, text) if text else []

    def add_arguments(self, index: int, text: str) -> list[Event]:
        item = self._open.get(index)
        return self._add(item, text) if isinstance(item, Call) and text else []

    def stop(self, index: int) -> list[Event]:
        """The block of this index is over."""
        item = self._open.pop(index, None)
        if isinstance(item, Reasoning):
            return item.end("completed")
        if item is not None:
            self._stopped.append(item)
            return []
        return self._close_text()

    def end(self, status: Status) -> list[Event]:
        """Of all that is not over yet only the last item is what the response was cut in."""
        last = self._items[-1] if self._items else None
        events = self._end_message(status)
        for item in (*self._stopped, *self._open.values()):
            events += item.end(status if item is last else "completed")
        self._stopped, self._open = [], {}
        return events

    def _begin_block(self, index: int, item: Item) -> list[Event]:
        events = [*self._end_stopped(), *self._end_message("completed")]
        self._open[index] = item
        return [*events, *self._begin(item)]

    def _begin(self, item: Item) -> list[Event]:
        self._items.append(item)
        self.kept += _ITEM_BYTES
        return item.begin()

    def _add(self, item: Item, text: str) -> list[Event]:
        self._keep(text)
        return item.add(text)

    def _keep(self, *texts: str) -> None:
        for text in texts:
            written = len(orjson.dumps(text))  # which the end has four times
            self.kept += written if text.isascii() else max(written, 4 * len(text))

    def _close_text(self) -> list[Event]:
        """The open part, with what was found of its sources."""
        if self._message is None:
            return []
        sources, self._sources = self._sources, []
        return self._message.close(sources)

    def _end_stopped(self) -> list[Event]:
        stopped, self._stopped = self._stopped, []
        return [event for item in stopped for event in item.end("completed")]

    def _end_message(self, status: Status) -> list[Event]:
        events = self._close_text()
        message, self._message = self._message, None
        return events if message is None else [*events, *message.end(status)]
