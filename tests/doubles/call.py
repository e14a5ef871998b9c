"""What a double was asked, and how far it came with each answer."""

import asyncio
import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from tests.doubles.answer import Answer


@dataclass
class Call:
    """One request. A double's thread writes it; any thread may read it."""

    key: str
    protocol: str
    path: str
    headers: dict[str, str]
    """Their names in lower case."""
    body: dict[str, Any]
    query: str = ""
    used: int = 0
    """Tokens that the provider has used up to now: the input, once the head of the reply is due,
    and what has been generated, the reasoning included. 0 for a refusal."""
    steps: int = 0
    """Written; see Answer."""
    bytes_written: int = 0
    """Of the body; what the sockets' buffers hold is among it."""
    finished: bool = False
    """All was generated and written."""
    peer_gone: bool = False
    """The connection was closed before that, by the peer or the end of the double."""
    ended: bool = False
    """Nothing more happens to this call."""


class Script:
    """The answers by key, and the calls."""

    def __init__(self, default: Answer) -> None:
        self._default = default
        self._lock = threading.Lock()
        self._answers: dict[str, list[Answer]] = {}
        self._calls: list[Call] = []
        self.released: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        """By key; for the thread that serves, the rest is for any."""

    def put(self, key: str, answers: tuple[Answer, ...]) -> None:
        with self._lock:
            self._answers[key] = list(answers)

    def record(self, call: Call) -> tuple[int, Answer]:
        """The number of the call, and its answer: each in turn, the last one again and again."""
        with self._lock:
            self._calls.append(call)
            answers = self._answers.get(call.key) or [self._default]
            return len(self._calls), answers.pop(0) if len(answers) > 1 else answers[0]

    def calls(self, key: str | None) -> list[Call]:
        with self._lock:
            return [call for call in self._calls if key is None or call.key == key]
