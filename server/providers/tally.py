"""Tally: what a call has used, as its reply or stream goes by."""

from contextlib import suppress
from typing import Any

import orjson

from server.errors import ProviderError, Refusal
from server.providers.estimate import Output
from server.providers.reading import an_object, objects, parse
from server.providers.refusals import of_error_event
from server.providers.usage import Usage, of_completion, of_message

# Members of a message that are no output, or say the same as another does.
_NO_OUTPUT = frozenset(
    {"annotations", "data", "expires_at", "format", "id", "index", "role", "signature", "type"}
)
_SAME = {
    "reasoning": ("reasoning_content",),
    "reasoning_details": ("reasoning_content", "reasoning"),
}


class Tally:
    """Of one call; see ChatTally and MessageTally for the two wire formats.

    `api_key`: the endpoint's, which its errors must not tell.
    """

    def __init__(self, choices: int = 1, api_key: str = "") -> None:
        self.usage: Usage | None = None
        self.has_all_usage = False
        """What is reported is the last word, and not what was used up to some moment."""
        self.output = Output()
        self.has_answered = False
        """Something of an answer has come."""
        self.finished = False
        """Each choice has its finish reason: only usage may follow."""
        self.ended = False
        """The stream said that it is over."""
        self.failure: Refusal | None = None
        """The stream's error, or what is wrong with it; nothing of it counts any more."""
        self._choices = choices
        self._api_key = api_key

    @property
    def refusal(self) -> ProviderError | None:
        """The failure for a client that has nothing yet: as good as an error status."""
        failure = self.failure
        if failure is None or isinstance(failure, ProviderError):
            return failure
        return ProviderError("error in a reply")

    def see(self, data: bytes) -> dict[str, Any] | None:
        """The event with this data, counted; None if there is nothing to pass on."""
        if data == b"[DONE]":
            self.end()
            return None
        try:
            event = parse(data)
        except orjson.JSONDecodeError:
            event = None
        if not isinstance(event, dict):
            self.failure = ProviderError()
            return None
        if event.get("error"):
            self.failure = of_error_event(event, self._api_key)
            return None
        if not self.has_answered:
            self.has_answered = event.get("type") != "ping"
        self._count(event)
        return event

    def end(self) -> None:
        """The stream is over."""
        self.ended = True
        if not self.has_answered:
            self.failure = ProviderError("empty stream")

    def see_reply(self, reply: dict[str, Any]) -> None:
        """Counts a whole reply, not streamed."""
        if reply.get("error"):
            self.failure = of_error_event(reply, self._api_key)
            return
        self._count_reply(reply)
        self.has_all_usage = self.usage is not None
        self.has_answered = self.finished = self.ended = True

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
        # Some report it before the finish reason only; unless there has come more than that.
        if self.usage is not None and self.output.least_tokens <= self.usage.output:
            self.has_all_usage = True

    def _count_reply(self, reply: dict[str, Any]) -> None:
        self.usage = of_completion(reply.get("usage"))
        for choice in objects(reply.get("choices")):
            self._count_text(choice.get("message"))

    def _count(self, event: dict[str, Any]) -> None:
        for choice in objects(event.get("choices")):
            self._count_text(choice.get("delta"))
            if choice.get("finish_reason") is not None:
                self._finished.add(repr(choice.get("index")))
                self.finished = len(self._finished) >= self._choices
        # Some compatible servers report it beside choices, and again and again.
        if event.get("usage") is not None:
            usage = of_completion(event["usage"])
            self.usage = usage or self.usage
            if self.finished and usage is not None:
                self.has_all_usage = True

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

    def _count_reply(self, reply: dict[str, Any]) -> None:
        self.usage = of_message(reply.get("usage"))
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
            self._report(an_object(event.get("message")).get("usage"))
        elif kind == "message_delta":
            if an_object(event.get("delta")).get("stop_reason") is not None:
                self.finished = True
            self._report(event.get("usage"))
            # Before that it is the input, and the output as far as it had got.
            if self.finished and self.usage is not None and event.get("usage"):
                self.has_all_usage = True
        elif kind == "message_stop":
            self.ended = True

    def _report(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._reported |= {name: count for name, count in usage.items() if count is not None}
            self.usage = of_message(self._reported)

    def _count_text(self, block: Any) -> None:
        if isinstance(block, dict):
            for name in ("text", "thinking", "partial_json", "name"):
                self.output.add(block.get(name))
