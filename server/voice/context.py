"""Context: how many tokens the next response of the default conversation reads.

The provider reports that with each response, and so of one turn after the other only what came
since is an estimate: by bytes, as of text calls (providers/estimate.py), and by seconds of audio.
"""

from typing import NamedTuple

import orjson

from server.providers.estimate import PROMPT_BYTES
from server.voice.opening import Event

_PROMPT = ("instructions", "tools")
"""Members of a session that the model reads before the conversation."""


class Mark(NamedTuple):
    """A moment, to which a report of usage belongs."""

    added: int
    changes: int


class Change(NamedTuple):
    """Of a member of the prompt: tokens that it has now at most, and its number."""

    tokens: int
    number: int


class Context:
    def __init__(self, most: int) -> None:
        """`most`: what the endpoint says that an estimate may come to."""
        self._most = most
        self._known = 0
        """Of what was there at the last report."""
        self._added = 0
        """In all."""
        self._reported = 0
        """Of these."""
        self._sizes: dict[str, int] = {}
        """As the provider has told."""
        self._changes = 0
        self._changed: dict[str, Change] = {}
        """Those that no report has in it yet."""

    @property
    def tokens(self) -> int:
        new = self._added - self._reported + sum(one.tokens for one in self._changed.values())
        return min(self._known + new, self._most)

    @property
    def prompt(self) -> int:
        """What is read without any conversation."""
        return min(
            sum(max(self._sizes.get(name, 0), self._most_of(name)) for name in _PROMPT), self._most
        )

    def expect(self, session: Event) -> None:
        """The provider is asked for these members. It may refuse them, or have others meanwhile:
        until a report each counts as the largest that was asked for."""
        for name, tokens in _sizes_in(session):
            if tokens != self._sizes.get(name) or name in self._changed:
                self._change(name, tokens)

    def configure(self, session: Event) -> None:
        """The session has these members, as the provider tells; others stay as they are."""
        for name, tokens in _sizes_in(session):
            if tokens != self._sizes.get(name):
                self._sizes[name] = tokens
                if name not in self._changed or tokens > self._most_of(name):
                    self._change(name, tokens)

    def add(self, tokens: int) -> None:
        """An item has come, or what was said."""
        self._added += tokens

    def mark(self) -> Mark:
        return Mark(self._added, self._changes)

    def report(self, mark: Mark, tokens: int) -> None:
        """A response that was asked for at `mark` has read and produced so many: all of it is what
        the next one reads."""
        self._known = tokens
        self._reported = mark.added
        changed = self._changed.items()
        self._changed = {name: one for name, one in changed if one.number > mark.changes}

    def _most_of(self, name: str) -> int:
        return self._changed[name].tokens if name in self._changed else 0

    def _change(self, name: str, tokens: int) -> None:
        self._changes += 1
        self._changed[name] = Change(max(tokens, self._most_of(name)), self._changes)


def _sizes_in(session: Event) -> list[tuple[str, int]]:
    """Of the members that the model reads. Raises orjson.JSONEncodeError."""
    present = [name for name in _PROMPT if name in session]
    return [(name, tokens_of(session[name]) if session[name] else 0) for name in present]


def tokens_of(value: object) -> int:
    """Of text or JSON that a model reads. Raises orjson.JSONEncodeError."""
    size = (
        len(value.encode(errors="replace")) if isinstance(value, str) else len(orjson.dumps(value))
    )
    return -(-size // PROMPT_BYTES)
