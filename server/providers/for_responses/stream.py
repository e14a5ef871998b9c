"""Streams of Anthropic's messages as streams of OpenAI's responses.

Sources: the Anthropic API reference, streaming messages; the OpenAI API reference, streaming
events of responses; its SDK's types. What is missing or odd in an event is left out; too many calls
of tools raise TooLarge. Those of chat completions are made messages first (for_messages/stream.py).
"""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import uuid4

from server.providers.bounds import MOST_CALLS_OF_TOOLS, TooLarge
from server.providers.endings import Ending, ending_of
from server.providers.for_chat.reply import arguments
from server.providers.for_responses.echo import envelope
from server.providers.for_responses.output import Output
from server.providers.for_responses.output_items import Event, Status
from server.providers.reading import an_object, count, objects, string
from server.providers.tool_input import ToolInputs
from server.providers.usage import MessageUsage, of_message, reported_in
from server.providers.wire import NOT_BEGUN, Begun

# Of blocks and of deltas: the kind of the part, and the member with its text.
_TEXTS: dict[str, tuple[Literal["output_text", "refusal"], str]] = {
    "text": ("output_text", "text"),
    "text_delta": ("output_text", "text"),
    "refusal": ("refusal", "refusal"),
    "refusal_delta": ("refusal", "refusal"),
}
_LONGEST_NAME = 200
_BEGINNING = ("response.created", "response.in_progress")


class ResponseStream:
    """One response: `from_event` for each event of a message, then `finish`."""

    def __init__(self, created: int, origin: str, asked: Mapping[str, Any]) -> None:
        """`created` in Unix seconds; `origin`: the name of the endpoint; `asked`: `echo`, and the
        `tools` that are not called as functions."""
        self.output = Output(origin)
        self._tools: Mapping[str, Any] = asked.get("tools", {})
        self._response = envelope(asked.get("echo", {}), created)
        self._has_started = False
        self._number = 0
        self._usage = MessageUsage()
        self._inputs = ToolInputs()
        self._calls = 0
        self._has_refused = False
        self._ending: Ending = "natural"
        self._failure: dict[str, Any] | None = None

    @property
    def begun(self) -> Begun:
        return Begun(self._in_progress(), self._number) if self._has_started else NOT_BEGUN

    def from_event(self, event: dict[str, Any]) -> list[Event]:
        """The events of one of a message; none for pings and unknown ones. Raises TooLarge."""
        kind, index = event.get("type"), count(event.get("index"))
        if kind != "content_block_delta" or "usage" in event:
            for usage in reported_in(event):
                self._usage.report(usage)
        match kind:
            case "content_block_delta":
                events = self._delta(index, an_object(event.get("delta")))
            case "content_block_start":
                events = self._begin_block(index, an_object(event.get("content_block")))
            case "content_block_stop":
                events = self.output.stop(index)
            case "message_delta":
                events = self._end(an_object(event.get("delta")).get("stop_reason"))
            case "message_start":
                return self._start(an_object(event.get("message")))
            case _:
                if kind == "error":
                    self._failure = an_object(event.get("error"))
                return []
        return [*self._start({}), *self._numbered(events)] if events else []

    def finish(self) -> list[Event]:
        """The last event, which has all of the response, and what is still to come before it."""
        events = [*self._start({}), *self._numbered(self.output.end(self._status))]
        status = "failed" if self._failure else self._status
        told = {"status": status, "output": self.output.items()}
        response = {**self._in_progress(), **told, "usage": usage_of(self._usage.reported)}
        if self._failure:
            message = string(self._failure.get("message"))
            response["error"] = {"code": "server_error", "message": message}
        elif status == "incomplete":
            reason = "content_filter" if self._ending == "filtered" else "max_output_tokens"
            response["incomplete_details"] = {"reason": reason}
        last = {"type": f"response.{status}", "response": response}
        return [*events, *self._numbered([last])]

    @property
    def _status(self) -> Status:
        if self._ending == "filtered":
            return "completed" if self._has_refused else "incomplete"
        return "incomplete" if self._ending in ("cut", "failed") else "completed"

    def _start(self, message: dict[str, Any]) -> list[Event]:
        if self._has_started:
            return []
        self._has_started = True
        given = string(message.get("id"))[:_LONGEST_NAME].removeprefix("msg_") or uuid4().hex
        self._response["id"] = given if given.startswith("resp_") else f"resp_{given}"
        self._response["model"] = string(message.get("model"))[:_LONGEST_NAME]
        return self._numbered([{"type": n, "response": self._in_progress()} for n in _BEGINNING])

    def _in_progress(self) -> dict[str, Any]:
        return self._response.copy()

    def _begin_block(self, index: int, block: dict[str, Any]) -> list[Event]:
        kind = string(block.get("type"))
        if kind in _TEXTS:
            return self._text(kind, block)
        if kind == "tool_use":
            return self._call(index, block)
        if kind not in ("thinking", "redacted_thinking"):
            return []
        text = string(block.get("thinking"))
        given = string(block.get("signature") or block.get("data"))
        begun = self.output.think(index, kind, given)
        return [*begun, *self.output.add_thoughts(index, text, "")] if text else begun

    def _call(self, index: int, block: dict[str, Any]) -> list[Event]:
        self._calls += 1
        if self._calls > MOST_CALLS_OF_TOOLS:
            raise TooLarge
        name, call_id = string(block.get("name")), string(block.get("id"))
        named = dict(self._tools.get(name, {"name": name}))
        given = arguments(block, self._inputs)
        return self.output.call(index, call_id or f"call_{uuid4().hex}", named, given)

    def _delta(self, index: int, delta: dict[str, Any]) -> list[Event]:
        kind = string(delta.get("type"))
        if kind in _TEXTS:
            return self._text(kind, delta)
        if kind == "input_json_delta":
            return self.output.add_arguments(index, string(delta.get("partial_json")))
        if kind in ("thinking_delta", "signature_delta"):
            texts = (string(delta.get(name)) for name in ("thinking", "signature"))
            return self.output.add_thoughts(index, *texts)
        return []

    def _text(self, kind: str, holder: dict[str, Any]) -> list[Event]:
        part, member = _TEXTS[kind]
        self._has_refused = self._has_refused or part == "refusal"
        return self.output.text(part, string(holder.get(member)))

    def _end(self, reason: Any) -> list[Event]:
        ending = ending_of(reason)
        if ending is None:
            return []
        self._ending = ending
        return self.output.end(self._status)

    def _numbered(self, events: list[Event]) -> list[Event]:
        for number, event in enumerate(events, self._number):
            event["sequence_number"] = number
        self._number += len(events)
        return events


def from_message(
    message: dict[str, Any],
    created: int,
    origin: str,
    asked: Mapping[str, Any],
    annotations: list[dict[str, Any]],
) -> dict[str, Any]:
    """The response of a message that came in one piece; the others as for a ResponseStream, whose
    last event it is."""
    stream = ResponseStream(created, origin, asked)
    stream.from_event({"type": "message_start", "message": message})
    stream.output.cite(annotations)
    for index, block in enumerate(objects(message.get("content"))):
        stream.from_event({"type": "content_block_start", "index": index, "content_block": block})
        stream.from_event({"type": "content_block_stop", "index": index})
    stream.from_event({"type": "message_delta", "delta": message})
    response: dict[str, Any] = stream.finish()[-1]["response"]
    return response


def usage_of(reported: dict[str, Any]) -> dict[str, Any] | None:
    """In the words of responses, whose input includes what was cached; None for none."""
    counts = of_message(reported)
    if counts is None or not counts.sum:
        return None
    used_by_input, output = (amount or 0 for amount in counts.believed(0, 0))
    return {
        "input_tokens": used_by_input,
        "input_tokens_details": {
            "cached_tokens": counts.read,
            "cache_write_tokens": counts.written,
        },
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning},
        "total_tokens": used_by_input + output,
    }
