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
    changed: dict[str, int]


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
        self._changed: dict[str, int] = {}
        """Those that no report has in it yet."""

    @property
    def tokens(self) -> int:
        new = self._added - self._reported + sum(self._changed.values())
        return min(self._known + new, self._most)

    @property
    def prompt(self) -> int:
        """What is read without any conversation."""
        return min(sum(self._sizes.values()), self._most)

    def configure(self, session: Event) -> None:
        """The session has, or will have, these members; others stay as they are."""
        for name in _PROMPT:
            if name in session:
                tokens = tokens_of(session[name]) if session[name] else 0
                if tokens != self._sizes.get(name):
                    self._sizes[name] = self._changed[name] = tokens

    def add(self, tokens: int) -> None:
        """An item has come, or what was said."""
        self._added += tokens

    def mark(self) -> Mark:
        return Mark(self._added, dict(self._changed))

    def report(self, mark: Mark, tokens: int) -> None:
        """A response that was asked for at `mark` has read and produced so many: all of it is what
        the next one reads."""
        self._known = tokens
        self._reported = mark.added
        changed = self._changed.items()
        self._changed = {name: size for name, size in changed if mark.changed.get(name) != size}


def tokens_of(value: object) -> int:
    """Of text or JSON that a model reads. Raises orjson.JSONEncodeError."""
    size = (
        len(value.encode(errors="replace")) if isinstance(value, str) else len(orjson.dumps(value))
    )
    return -(-size // PROMPT_BYTES)
