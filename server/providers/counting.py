"""Counting: what the tallies of both wire formats share (tally.py)."""

from typing import Any

import orjson

from server.errors import Refusal
from server.providers.bounds import MOST_EVENT_VALUES, TooLarge, can_be_parsed
from server.providers.errors import ProviderError
from server.providers.estimate import Output
from server.providers.progress import Progress
from server.providers.reading import parse
from server.providers.refusals import of_failure, value_of, without_words
from server.providers.skim import find_usage
from server.providers.sse import Failure
from server.providers.usage import Counts
from server.providers.words import has_secrets, is_error, is_failure

# Of an answer in one piece; one that has none of them is none.
_OF_ANSWERS = frozenset(
    {"choices", "content", "created", "id", "model", "object", "role", "type", "usage"}
)
# What an answer without a text has nevertheless.
_OF_EMPTY = ("usage", "stop_reason")


class NoAnswer(Exception):
    """`args[0]` is a failure instead."""


class Tally:
    """What a call has used, as its reply or stream goes by, and whether that is an answer.

    `secrets`: the endpoint's, which its errors must not tell.
    """

    has_words = True
    """Of a failure the client is told what the provider says."""

    def __init__(self, choices: int = 1, *secrets: str) -> None:
        self.progress = Progress()
        self.output = Output()
        self.is_unsure = False
        """As long as it waits: what has come may be of an answer, or of none."""
        self.reply_id = ""
        """Of a response, which its endpoint may keep."""
        self._choices = choices
        self._secrets = secrets

    @property
    def is_complete(self) -> bool:
        """It has finished, and all that was used is known: nothing can change that any more."""
        progress = self.progress
        if not progress.has_all_usage or progress.usage is None:
            return False
        return None not in progress.usage.believed(self.output.least_report, self.output.tokens)

    def see(self, data: bytes) -> dict[str, Any] | None:
        """The event with this data, counted; None if there is nothing to pass on. Raises
        TooLarge."""
        # Nearly all are small, and a call for each would cost a stream half a percent.
        if len(data) > MOST_EVENT_VALUES and not can_be_parsed(data, MOST_EVENT_VALUES):
            if data.startswith(b"{"):
                raise TooLarge
            self._fail(ProviderError("not an object"))
            return None
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            event = _mended(data)
        if not isinstance(event, dict) or type(data) is Failure:
            self._see_other(data)
            return None
        try:
            if event.get("error") and is_error(event["error"]):
                raise NoAnswer(event)
            is_understood = self._count(event)
        except NoAnswer as failure:
            self._fail(self._refusal(failure.args[0]))
            return None
        if is_understood is None:
            return None
        if self.progress.state == "waiting" and event.get("type") != "ping":
            self.is_unsure = not is_understood
            if is_understood:
                self.progress.answer()
        return event

    def end(self) -> None:
        """The stream says that it is over."""
        self.progress.end()

    def cut(self) -> None:
        """Nothing more comes."""
        self.progress.cut()

    def see_reply(self, reply: Any) -> None:
        """Counts a whole reply, not streamed: what was parsed, or a plain text."""
        try:
            if not isinstance(reply, dict):
                raise NoAnswer(reply)
            self._judge_reply(reply)
        except NoAnswer as failure:
            self.progress.fail(self._refusal(failure.args[0]))
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
        if usage is not None:
            self.progress.report(usage)
        # For a report that is none, or that nobody can believe.
        self.output.add_unread(len(reply), most)
        self.progress.end()

    def break_off(self, failure: Refusal, size: int = 0, most: int = 0) -> None:
        """An answer has begun, and no more of it is read; `size` bytes of it, which are `most`
        tokens at most, have not been counted. What they report is not believed: a user could have
        written it, and nobody knows what would have followed."""
        self.progress.answer()
        self.output.add_unread(size, most)
        self.progress.fail(failure)

    def _fail(self, failure: Refusal) -> None:
        if self.is_complete:
            self.end()
        else:
            self.progress.fail(failure)

    def _refusal(self, failure: Any) -> Refusal:
        refusal = of_failure(failure, *self._secrets)
        return refusal if self.has_words else without_words(refusal)

    def _see_other(self, data: bytes) -> None:
        """A failure, or what is no object: another, or the end, as many servers write it."""
        if type(data) is bytes and data.strip(b' \t"').upper() == b"[DONE]":
            self.end()
        else:
            self._fail(self._refusal(value_of(bytes(data))))

    def _judge(self, value: dict[str, Any]) -> None:
        """Of what has nothing of an answer. Raises NoAnswer."""
        if is_failure(value):
            raise NoAnswer(value)

    def _has_secrets(self, value: dict[str, Any]) -> bool:
        """Then what is not understood must not be passed on."""
        return has_secrets(value, *self._secrets)

    def _judge_reply(self, reply: dict[str, Any]) -> None:
        """Raises NoAnswer."""
        if is_error(reply.get("error")):
            raise NoAnswer(reply)
        if self._has_answer(reply):
            return
        self._judge(reply)
        is_strange = reply and reply.keys().isdisjoint(_OF_ANSWERS)
        if is_strange or self._is_empty(reply) or self._has_secrets(reply):
            raise NoAnswer(reply)

    def _has_answer(self, reply: dict[str, Any]) -> bool:
        """Has it what a whole answer is made of? Raises NoAnswer if that is a failure."""
        raise NotImplementedError

    def _is_empty(self, reply: dict[str, Any]) -> bool:
        """Is there nothing where its answer should be, and no usage?"""
        holders = reply.keys() & {"choices", "content"}
        return bool(holders) and not any(reply.get(name) for name in (*holders, *_OF_EMPTY))

    def _read_usage(self, value: Any) -> Counts | None:
        raise NotImplementedError

    def _count_reply(self, reply: dict[str, Any]) -> None:
        raise NotImplementedError

    def _count(self, event: dict[str, Any]) -> bool | None:
        """Counts the event. False if it is none of an answer, as far as is known, True if it is;
        None if it must not be passed on. Raises NoAnswer."""
        raise NotImplementedError


def _mended(data: bytes) -> Any:
    """What orjson does not read and `parse` does; None if neither."""
    try:
        return parse(data)
    except orjson.JSONDecodeError:
        return None
