"""Tally: what a call has used, in the wire format of each protocol."""

from functools import reduce
from typing import Any

from server.providers.ask import MOST_CHOICES
from server.providers.bounds import TooLarge
from server.providers.counting import NoAnswer, Tally
from server.providers.endings import Ending, ending_of
from server.providers.reading import an_object, objects, small
from server.providers.texts import count_block, count_message
from server.providers.usage import (
    Counts,
    MessageUsage,
    of_chunk,
    of_completion,
    of_message,
    reported_in,
)
from server.providers.words import is_error

__all__ = ["ChatTally", "MessageTally", "Tally"]

_LONGEST_INDEX = 20
_KINDS = (
    *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
    *("message_delta", "message_stop", "ping"),
)


class ChatTally(Tally):
    """Of OpenAI's chat completions."""

    def __init__(self, choices: int = 1, *secrets: str) -> None:
        super().__init__(choices, *secrets)
        self._finished: set[int | str] = set()
        self._begun: set[int | str] = set()
        """Of more than one."""
        self._reported: dict[int | str, Counts] = {}
        """By choices that each report their own."""

    def end(self) -> None:
        # Some give fewer choices than were asked for, but what has begun must have a reason, too.
        if self._finished and self._begun <= self._finished:
            self.progress.finish()
        super().end()
        self.progress.trust_usage()

    def cut(self) -> None:
        super().cut()
        self.progress.trust_usage()

    def _read_usage(self, value: Any) -> Counts | None:
        return of_completion(value)

    def _has_answer(self, reply: dict[str, Any]) -> bool:
        choices = objects(reply.get("choices"))
        for choice in choices:
            _judge_choice(choice)
        return bool(choices)

    def _count_reply(self, reply: dict[str, Any]) -> None:
        if (usage := of_chunk(reply)) is not None:
            self.progress.report(usage)
        for choice in objects(reply.get("choices")):
            count_message(choice.get("message"), self.output)

    def _count(self, event: dict[str, Any]) -> bool | None:
        choices = event.get("choices")
        # Some compatible servers report it beside choices, or in them, and again and again.
        reports = event.get("usage") is not None or "x_groq" in event
        for position, choice in enumerate(objects(choices)):
            if self._choices > 1:
                self._begin(choice, position)
            if choice.get("finish_reason") or "error" in choice:
                self._finish(choice, position, event)
            count_message(choice.get("delta"), self.output)
            if "usage" in choice:
                reports = True
        if reports:
            self._report(event)
        if choices:
            return True
        self._judge(event)
        is_understood = reports or isinstance(choices, list)
        return None if self._has_secrets(event) else is_understood

    def _begin(self, choice: dict[str, Any], position: int) -> None:
        if len(self._begun) < self._choices:
            self._begun.add(_index_of(choice, position))

    def _finish(self, choice: dict[str, Any], position: int, event: dict[str, Any]) -> None:
        if position >= MOST_CHOICES:  # which no request can ask for
            raise TooLarge
        ending = _judge_choice(choice)
        if event.get("type") == "ping" or ending is None or len(self._finished) >= self._choices:
            return
        self._finished.add(_index_of(choice, position))
        if len(self._finished) >= self._choices:
            self.progress.answer()
            self.progress.finish()

    def _report(self, event: dict[str, Any]) -> None:
        if (usage := of_chunk(event)) is None:
            return
        choices = objects(event.get("choices"))
        if self._choices > 1 and len(choices) == 1 and "usage" in choices[0]:
            usage = self._with_others(_index_of(choices[0]), usage)
        self.progress.report(usage)

    def _with_others(self, index: int | str, usage: Counts) -> Counts:
        """With what other choices have reported in events of their own."""
        if index in self._reported or len(self._reported) < self._choices:
            self._reported[index] = self._reported.get(index, usage).grown(usage)
        return reduce(Counts.beside, self._reported.values(), Counts(output=0))


class MessageTally(Tally):
    """Of Anthropic's messages; its usage is cumulative."""

    def __init__(self, choices: int = 1, *secrets: str) -> None:
        super().__init__(choices, *secrets)
        self._usage = MessageUsage()
        self._has_output = False
        """Its usage is that of more than its beginning."""

    def end(self) -> None:
        super().end()
        self._trust_usage()

    def cut(self) -> None:
        super().cut()
        self._trust_usage()

    def _trust_usage(self) -> None:
        if self._has_output:
            self.progress.trust_usage()

    def _read_usage(self, value: Any) -> Counts | None:
        return of_message(value)

    def _has_answer(self, reply: dict[str, Any]) -> bool:
        if ending_of(reply.get("stop_reason")) == "failed":
            raise NoAnswer({})
        return bool(objects(reply.get("content")))

    def _count_reply(self, reply: dict[str, Any]) -> None:
        if (usage := of_message(reply.get("usage"))) is not None:
            self.progress.report(usage)
        for block in objects(reply.get("content")):
            count_block(block, self.output)

    def _count(self, event: dict[str, Any]) -> bool | None:
        kind = event.get("type")
        if kind == "content_block_delta":
            count_block(event.get("delta"), self.output)
            if "usage" not in event:  # as nearly always
                return True
        elif kind == "content_block_start":
            count_block(event.get("content_block"), self.output)
        elif kind == "message_delta":
            self._finish(an_object(event.get("delta")))
        for usage in reported_in(event):
            self._report(usage, is_first=kind == "message_start")
        if kind == "message_stop":
            self.end()
        elif kind not in _KINDS:
            self._judge(event)
            return None if self._has_secrets(event) else False  # one of tomorrow's, perhaps
        return True

    def _finish(self, delta: dict[str, Any]) -> None:
        ending = ending_of(delta.get("stop_reason"))
        if ending == "failed":
            raise NoAnswer({})
        if ending is not None:
            self.progress.answer()
            self.progress.finish()

    def _report(self, usage: dict[str, Any], is_first: bool) -> None:
        self._usage.report(usage)
        new, all_of_it = of_message(usage), of_message(self._usage.reported)
        if new is not None and all_of_it is not None:
            # What a message began with is not all, whatever else its end says.
            has_output = not is_first and (new.output is not None or new.total is not None)
            self._has_output = self._has_output or has_output
            self.progress.report(all_of_it, has_output)


def _index_of(choice: dict[str, Any], position: int = 0) -> int | str:
    """`position`: in its chunk, for those without an index."""
    index = choice.get("index", position)
    return index if type(index) is int else repr(small(index))[:_LONGEST_INDEX]


def _judge_choice(choice: dict[str, Any]) -> Ending | None:
    """Why it ended. Raises NoAnswer."""
    ending = ending_of(choice.get("finish_reason"))
    if is_error(choice.get("error")) or ending == "failed":
        raise NoAnswer(choice.get("error") or {})
    return ending
