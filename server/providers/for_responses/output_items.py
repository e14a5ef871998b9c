"""The items of a response's output, each from its first event to its last.

Each is told from the block of a message that it is made of. Its events come without their
`sequence_number`, which is the stream's.
"""

from collections.abc import Mapping
from io import StringIO
from typing import Any, Literal
from uuid import uuid4

import orjson

from server.providers.for_responses.state import sealed
from server.providers.for_responses.tools import INPUT
from server.providers.reading import parse

Event = dict[str, Any]
Status = Literal["completed", "incomplete"]


class Item:
    """`item` is what it is now, and is told again with the end of the response. What comes of its
    text is in a StringIO until its end: there it takes a byte for a character, as pieces fifty."""

    def __init__(self, index: int, kind: str, prefix: str, **members: Any) -> None:
        """`index`: its place in the output; `prefix`: what its ID begins with."""
        self.item: dict[str, Any] = {"id": f"{prefix}_{uuid4().hex}", "type": kind, **members}
        self._place = {"item_id": self.item["id"], "output_index": index}
        self._index = index

    def begin(self) -> list[Event]:
        return [self._told("added")]

    def add(self, text: str) -> list[Event]:
        raise NotImplementedError

    def end(self, status: Status) -> list[Event]:
        raise NotImplementedError

    def _told(self, what: str) -> Event:
        name = f"response.output_item.{what}"
        return {"type": name, "output_index": self._index, "item": self.item.copy()}

    def _event(self, kind: str, **members: Any) -> Event:
        return {"type": f"response.{kind}", **self._place, **members}


class Message(Item):
    """Of texts and refusals, a part for each block of them."""

    def __init__(self, index: int) -> None:
        self._parts: list[dict[str, Any]] = []
        super().__init__(
            index, "message", "msg", role="assistant", status="in_progress", content=[]
        )
        self._kind = ""
        """Of the open part, '' for none."""
        self._text = StringIO()

    def open(self, kind: Literal["output_text", "refusal"]) -> list[Event]:
        """A part, unless one of this kind is open."""
        if self._kind == kind:
            return []
        events = self.close()
        self._kind, self._text = kind, StringIO()
        part = self._part("", [])
        return [*events, self._of_part("content_part.added", part=part)]

    def add(self, text: str) -> list[Event]:
        self._text.write(text)
        if self._kind == "refusal":
            return [self._of_part("refusal.delta", delta=text)]
        return [self._of_part("output_text.delta", delta=text, logprobs=[])]

    def close(self, annotations: list[dict[str, Any]] | None = None) -> list[Event]:
        """The open part."""
        if not self._kind:
            return []
        kind, events = self._kind, []
        text, self._text = self._text.getvalue(), StringIO()
        noted = annotations or []
        for number, one in enumerate(noted):
            name = "output_text.annotation.added"
            events.append(self._of_part(name, annotation_index=number, annotation=one))
        said = {"refusal": text} if kind == "refusal" else {"text": text, "logprobs": []}
        events.append(self._of_part(f"{kind}.done", **said))
        part = self._part(text, noted)
        events.append(self._of_part("content_part.done", part=part))
        self._parts.append(part)
        self._kind = ""
        return events

    def end(self, status: Status) -> list[Event]:
        events = self.close()
        self.item |= {"status": status, "content": self._parts}
        return [*events, self._told("done")]

    def _part(self, text: str, annotations: list[dict[str, Any]]) -> dict[str, Any]:
        if self._kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}

    def _of_part(self, kind: str, **members: Any) -> Event:
        return self._event(kind, content_index=len(self._parts), **members)


class Reasoning(Item):
    """Thoughts are told as a summary, which is what clients show, and go back with what is sealed
    beside them."""

    def __init__(self, index: int, kind: str, given: str, origin: str) -> None:
        """`kind`: the block's type; `given`: its signature, or its data."""
        super().__init__(index, "reasoning", "rs", summary=[])
        self._kind = kind
        self._origin = origin
        self._given = [given]
        self._text: StringIO | None = None

    def add(self, text: str) -> list[Event]:
        events = []
        if self._text is None:
            self._text, part = StringIO(), {"type": "summary_text", "text": ""}
            events.append(self._summary("part.added", part=part))
        self._text.write(text)
        return [*events, self._summary("text.delta", delta=text)]

    def sign(self, signature: str) -> None:
        self._given.append(signature)

    def end(self, status: Status) -> list[Event]:
        events = []
        if self._text is not None:
            text, self._text = self._text.getvalue(), None
            part = {"type": "summary_text", "text": text}
            events.append(self._summary("text.done", text=text))
            events.append(self._summary("part.done", part=part))
            self.item["summary"] = [part]
        given, self._given = "".join(self._given), []
        if kept := sealed(self._kind, given, self._origin):
            self.item["encrypted_content"] = kept
        return [*events, self._told("done")]

    def _summary(self, kind: str, **members: Any) -> Event:
        return self._event(f"reasoning_summary_{kind}", summary_index=0, **members)


class Call(Item):
    """Of a tool."""

    def __init__(self, index: int, kind: str, prefix: str, given: str, **members: Any) -> None:
        """`given`: its arguments, if none come."""
        super().__init__(index, kind, prefix, **members)
        self._given = given
        self._text = StringIO()

    def _take(self) -> str:
        """The arguments that have come."""
        arguments, self._text = self._text.getvalue(), StringIO()
        return arguments


class FunctionCall(Call):
    def __init__(self, index: int, call_id: str, named: Mapping[str, Any], given: str) -> None:
        """`named`: its names."""
        call = {"status": "in_progress", "arguments": "", "call_id": call_id, **named}
        super().__init__(index, "function_call", "fc", given, **call)

    def add(self, text: str) -> list[Event]:
        self._text.write(text)
        return [self._event("function_call_arguments.delta", delta=text)]

    def end(self, status: Status) -> list[Event]:
        events = [] if self._text.tell() else self.add(self._given)
        arguments = self._take()
        self.item |= {"status": status, "arguments": arguments}
        events.append(self._event("function_call_arguments.done", arguments=arguments))
        return [*events, self._told("done")]


class CustomCall(Call):
    """Its text is known at its end: until then it is the argument of a function."""

    def __init__(self, index: int, call_id: str, named: Mapping[str, Any], given: str) -> None:
        call = {"input": "", "call_id": call_id, **named}
        super().__init__(index, "custom_tool_call", "ctc", given, **call)

    def add(self, text: str) -> list[Event]:
        self._text.write(text)
        return []

    def end(self, status: Status) -> list[Event]:
        said = _input_in(self._take() or self._given)
        self.item["input"] = said
        events = [self._event("custom_tool_call_input.delta", delta=said)] if said else []
        return [
            *events,
            self._event("custom_tool_call_input.done", input=said),
            self._told("done"),
        ]


def _input_in(arguments: str) -> str:
    """The one argument; what is none of that is the text itself, as models make mistakes."""
    try:
        value = parse(arguments.encode(errors="replace"))
    except orjson.JSONDecodeError:
        return arguments
    said = value.get(INPUT) if isinstance(value, dict) else None
    if isinstance(said, str):
        return said
    return "" if value == {} else arguments
