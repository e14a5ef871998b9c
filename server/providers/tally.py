"""Tally: what a call has used, as its reply or stream goes by."""

from contextlib import suppress
from typing import Any

import orjson

from server.errors import Refusal
from server.providers.bounds import MOST_EVENT_VALUES, TooLarge, can_be_parsed
from server.providers.errors import ProviderError
from server.providers.estimate import Output
from server.providers.progress import Progress
from server.providers.reading import an_object, objects, parse, small
from server.providers.refusals import of_error_event
from server.providers.skim import find_usage
from server.providers.usage import MESSAGE_COUNTS, Usage, of_completion, of_message

# Members of a message that are no output, or say the same as another does.
_NO_OUTPUT = frozenset(
    {
        *("annotations", "data", "expires_at", "extra_content", "format", "id", "index", "role"),
        *("signature", "type"),
    }
)
_LONGEST_INDEX = 20
_SAME = {
    "reasoning": ("reasoning_content",),
    "reasoning_details": ("reasoning_content", "reasoning"),
}


class Tally:
    """Of one call; see ChatTally and MessageTally for the two wire formats.

    `api_key`: the endpoint's, which its errors must not tell.
    """

    def __init__(self, choices: int = 1, api_key: str = "") -> None:
        self.progress = Progress()
        self.output = Output()
        self._choices = choices
        self._api_key = api_key

    def see(self, data: bytes) -> dict[str, Any] | None:
        """The event with this data, counted; None if there is nothing to pass on. Raises
        TooLarge."""
        if data == b"[DONE]":
            self.end()
            return None
        # Nearly all are small, and a call for each would cost a stream half a percent.
        if len(data) > MOST_EVENT_VALUES and not can_be_parsed(data, MOST_EVENT_VALUES):
            if data.startswith(b"{"):
                raise TooLarge
            self.progress.fail(ProviderError("not an object"))
            return None
        try:
            event = parse(data)
        except orjson.JSONDecodeError:
            event = None
        if not isinstance(event, dict):
            self.progress.fail(ProviderError("not an object"))
            return None
        if event.get("error"):
            self.progress.fail(of_error_event(event, self._api_key))
            return None
        if self.progress.state == "waiting" and event.get("type") != "ping":
            self.progress.answer()
        self._count(event)
        return event

    def end(self) -> None:
        """The stream says that it is over."""
        self.progress.end()

    def cut(self) -> None:
        """Nothing more comes."""
        self.progress.cut()

    def see_reply(self, reply: dict[str, Any]) -> None:
        """Counts a whole reply, not streamed."""
        if reply.get("error"):
            self.progress.fail(of_error_event(reply, self._api_key))
            return
        self.progress.answer()
        self.progress.finish()
        self._count_reply(reply)
        self.progress.end()

    def skim_reply(self, reply: bytes, most: int) -> None:
        """Counts a whole reply, of at most `most` tokens, that is too large to be parsed."""
        self.progress.answer()
        self.progress.finish()
        usage = find_usage(reply, self._read_usage)
        self.progress.report(usage)
        if usage is None:
            self.output.add_unread(len(reply), most)
        self.progress.end()

    def break_off(self, failure: Refusal, size: int = 0, most: int = 0) -> None:
        """An answer has begun, and no more of it is read; `size` bytes of it, which are `most`
        tokens at most, have not been counted. What they report is not believed: a user could have
        written it, and nobody knows what would have followed."""
        self.progress.answer()
        self.output.add_unread(size, most)
        self.progress.fail(failure)

    def _read_usage(self, value: Any) -> Usage | None:
        raise NotImplementedError

    def _count_reply(self, reply: dict[str, Any]) -> None:
        raise NotImplementedError

    def _count(self, event: dict[str, Any]) -> None:
        raise NotImplementedError


class ChatTally(Tally):
    """Of OpenAI's chat completions."""

    def __init__(self, choices: int = 1, api_key: str = "") -> None:
        super().__init__(choices, api_key)
        self._finished: set[Any] = set()

    def end(self) -> None:
        super().end()
        self._trust_usage()

    def cut(self) -> None:
        super().cut()
        self._trust_usage()

    def _trust_usage(self) -> None:
        """Some report it before the finish reason only; unless there has come more than that."""
        usage = self.progress.usage
        if usage is not None and self.output.least_tokens <= usage.output:
            self.progress.trust_usage()

    def _read_usage(self, value: Any) -> Usage | None:
        return of_completion(value)

    def _count_reply(self, reply: dict[str, Any]) -> None:
        self.progress.report(of_completion(reply.get("usage")))
        for choice in objects(reply.get("choices")):
            self._count_text(choice.get("message"))

    def _count(self, event: dict[str, Any]) -> None:
        for choice in objects(event.get("choices")):
            self._count_text(choice.get("delta"))
            if choice.get("finish_reason") is not None and len(self._finished) < self._choices:
                self._finished.add(repr(small(choice.get("index")))[:_LONGEST_INDEX])
                if len(self._finished) >= self._choices:
                    self.progress.finish()
        # Some compatible servers report it beside choices, and again and again.
        if event.get("usage") is not None:
            usage = of_completion(event["usage"])
            if usage is not None:
                self.progress.report(usage)

    def _count_text(self, message: Any) -> None:
        if not isinstance(message, dict):
            return
        if len(message) == 1 and "content" in message and isinstance(message["content"], str):
            self.output.add(message["content"])  # as in nearly all chunks
            return
        for name, value in message.items():
            if not value or name in _NO_OUTPUT:
                continue
            if name in _SAME and any(message.get(other) for other in _SAME[name]):
                continue
            if isinstance(value, str):
                self.output.add(value)
            else:
                self._count_texts_in(value)

    def _count_texts_in(self, value: Any) -> None:
        """All texts of calls, parts, audio, and what else there will be."""
        waiting = [value]
        while waiting:
            value = waiting.pop()
            if isinstance(value, list):
                waiting += value
            elif isinstance(value, dict):
                waiting += [inner for name, inner in value.items() if name not in _NO_OUTPUT]
            else:
                self.output.add(value)


class MessageTally(Tally):
    """Of Anthropic's messages; its usage is cumulative, so that a later number replaces one."""

    def __init__(self, choices: int = 1, api_key: str = "") -> None:
        super().__init__(choices, api_key)
        self._reported: dict[str, Any] = {}

    def _read_usage(self, value: Any) -> Usage | None:
        return of_message(value)

    def _count_reply(self, reply: dict[str, Any]) -> None:
        self.progress.report(of_message(reply.get("usage")))
        for block in objects(reply.get("content")):
            self._count_text(block)
            if block.get("input"):
                # What it reads nested too deeply for it to write is not worth losing the reply.
                with suppress(orjson.JSONEncodeError):
                    self.output.add(orjson.dumps(block["input"]).decode())

    def _count(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "content_block_delta":
            self._count_text(event.get("delta"))
        elif kind == "content_block_start":
            self._count_text(event.get("content_block"))
        elif kind == "message_start":
            usage = an_object(event.get("message")).get("usage")
            self._report(usage, is_final=False)
        elif kind == "message_delta":
            if an_object(event.get("delta")).get("stop_reason") is not None:
                self.progress.finish()
            self._report(event.get("usage"), is_final=True)
        elif kind == "message_stop":
            self.progress.end()

    def _report(self, usage: Any, is_final: bool) -> None:
        if isinstance(usage, dict) and usage:
            counts = {name: small(usage.get(name)) for name in MESSAGE_COUNTS}
            self._reported |= {name: count for name, count in counts.items() if count is not None}
            self.progress.report(of_message(self._reported), is_final)

    def _count_text(self, block: Any) -> None:
        if isinstance(block, dict):
            for name in ("text", "thinking", "partial_json", "name"):
                self.output.add(block.get(name))
