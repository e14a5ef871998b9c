"""What a response consists of: reasoning, a message, calls of functions and of custom tools; and
the events that tell of each."""

from collections.abc import Iterator
from typing import Any

from tests.doubles.plan import Fragment, Plan

Event = tuple[str, dict[str, Any]]
"""Its type and its members, without a number."""

ENCRYPTED = "gAAAAAB-by-the-double-"
_ASKED_FOR = "reasoning.encrypted_content"


class Item:
    """A message. `index` is its place in the output."""

    prefix = "msg"
    delta, whole = "response.output_text.delta", "response.output_text.done"
    text_name = "text"

    def __init__(self, reply_id: str, plan: Plan, tool: int | None, index: int) -> None:
        self.id = f"{self.prefix}_{reply_id}_{index}"
        self.tool, self.index = tool, index
        self._text = ""
        self._reply_id, self._plan = reply_id, plan

    def opening(self) -> Iterator[Event]:
        yield "response.output_item.added", {"output_index": self.index, "item": self.begun()}
        yield "response.content_part.added", {**self._place(), "part": self._part("")}

    def add(self, text: str) -> Event:
        self._text += text
        return self.delta, {**self._place(), "delta": text, **self._beside()}

    def closing(self) -> Iterator[Event]:
        yield self.whole, {**self._place(), self.text_name: self._text, **self._beside()}
        yield "response.content_part.done", {**self._place(), "part": self._part(self._text)}
        yield "response.output_item.done", {"output_index": self.index, "item": self.done()}

    def begun(self) -> dict[str, Any]:
        return {**self._common("in_progress"), "content": []}

    def done(self) -> dict[str, Any]:
        status = "incomplete" if self._plan.is_cut else "completed"
        return {**self._common(status), "content": [self._part(self._text)]}

    def _common(self, status: str) -> dict[str, Any]:
        return {"id": self.id, "type": "message", "status": status, "role": "assistant"}

    def _place(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index, "content_index": 0}

    @staticmethod
    def _beside() -> dict[str, Any]:
        return {"logprobs": []}

    @staticmethod
    def _part(text: str) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


class FunctionCall(Item):
    prefix, kind = "fc", "function_call"
    delta = "response.function_call_arguments.delta"
    whole = "response.function_call_arguments.done"
    text_name = "arguments"

    def opening(self) -> Iterator[Event]:
        yield "response.output_item.added", {"output_index": self.index, "item": self.begun()}

    def closing(self) -> Iterator[Event]:
        yield self.whole, {**self._place(), self.text_name: self._text, **self._beside()}
        yield "response.output_item.done", {"output_index": self.index, "item": self.done()}

    def begun(self) -> dict[str, Any]:
        return {**self._common("in_progress"), self.text_name: ""}

    def done(self) -> dict[str, Any]:
        status = "incomplete" if self._plan.is_cut else "completed"
        return {**self._common(status), self.text_name: self._text}

    def _common(self, status: str) -> dict[str, Any]:
        assert self.tool is not None
        name = self._plan.answer.tools[self.tool].name
        call = {"call_id": f"call_{self._reply_id}_{self.tool}", "name": name}
        return {"id": self.id, "type": self.kind, "status": status, **call}

    def _place(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index}

    @staticmethod
    def _beside() -> dict[str, Any]:
        return {}


class CustomCall(FunctionCall):
    """Its input is the JSON of the Tool's arguments."""

    prefix, kind = "ctc", "custom_tool_call"
    delta = "response.custom_tool_call_input.delta"
    whole = "response.custom_tool_call_input.done"
    text_name = "input"


def opened(reply_id: str, body: dict[str, Any], plan: Plan, fragment: Fragment, index: int) -> Item:
    """The item that a fragment begins."""
    kind: type[Item] = Item
    if fragment.tool is not None:
        is_custom = plan.answer.tools[fragment.tool].name in _custom_tools(body)
        kind = CustomCall if is_custom else FunctionCall
    return kind(reply_id, plan, fragment.tool, index)


def items_of(reply_id: str, body: dict[str, Any], plan: Plan, first: int) -> list[Item]:
    """Those of a response as a whole; `first` is the place of the first."""
    items: list[Item] = []
    for fragment in plan.whole():
        if not items or items[-1].tool != fragment.tool:
            items.append(opened(reply_id, body, plan, fragment, first + len(items)))
        items[-1].add(fragment.text)
    return items


def reasoning_of(reply_id: str, body: dict[str, Any], plan: Plan) -> list[dict[str, Any]]:
    """The item of the reasoning, if there was any. Its summary is the Answer's `thinking`."""
    if not plan.reasoning:
        return []
    shown = plan.answer.thinking
    summary = [{"type": "summary_text", "text": shown}] if shown else []
    item = {"id": f"rs_{reply_id}_0", "type": "reasoning", "summary": summary}
    if _ASKED_FOR in (body.get("include") or []):
        item["encrypted_content"] = ENCRYPTED + reply_id
    return [item]


def events_of_reasoning(item: dict[str, Any]) -> Iterator[Event]:
    place = {"item_id": item["id"], "output_index": 0, "summary_index": 0}
    begun = {**item, "summary": []}
    yield "response.output_item.added", {"output_index": 0, "item": begun}
    for part in item["summary"]:
        empty = {**part, "text": ""}
        yield "response.reasoning_summary_part.added", {**place, "part": empty}
        yield "response.reasoning_summary_text.delta", {**place, "delta": part["text"]}
        yield "response.reasoning_summary_text.done", {**place, "text": part["text"]}
        yield "response.reasoning_summary_part.done", {**place, "part": part}
    yield "response.output_item.done", {"output_index": 0, "item": item}


def _custom_tools(body: dict[str, Any]) -> set[Any]:
    tools = body.get("tools") or []
    return {tool.get("name") for tool in tools if tool.get("type") == "custom"}
