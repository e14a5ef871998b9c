"""An answer cut to one request's limit: what is generated, step by step, and what it costs."""

import json
from collections.abc import Iterator
from itertools import chain, islice, repeat
from typing import NamedTuple

from tests.doubles.answer import Answer

ARGUMENTS_PER_FRAGMENT = 12
"""Characters."""


class Fragment(NamedTuple):
    """What one step adds: some text, or a part of a tool's arguments (JSON)."""

    text: str
    tool: int | None = None
    begins: bool = False


class Plan:
    """`limit` is for each of the `choices`; None: there is none. All counts are for all choices."""

    def __init__(self, answer: Answer, limit: int | None, choices: int, input_tokens: int) -> None:
        self.answer = answer
        self.choices = choices
        self.input_tokens = input_tokens
        self.endless = answer.ignore_limit and limit is not None
        room = None if answer.ignore_limit else limit
        reasoning = _cut(answer.reasoning_tokens, room)
        wanted = len(answer.pieces) + len(list(self._tools()))
        fitting = None if room is None else (room - reasoning) // answer.tokens_per_chunk
        self._count = _cut(wanted, fitting)
        self._per_chunk = answer.tokens_per_chunk * choices
        self.reasoning = reasoning * choices
        natural = self.reasoning + self._count * self._per_chunk
        scripted = natural if answer.output_tokens is None else answer.output_tokens
        self.output = _cut(scripted, None if room is None else room * choices)
        self.is_cut = self._count < wanted or self.output < scripted

    @property
    def finish_reason(self) -> str:
        """In OpenAI's words."""
        if self.answer.finish_reason:
            return self.answer.finish_reason
        if self.is_cut:
            return "length"
        return "tool_calls" if self.answer.tools else "stop"

    def fragments(self) -> Iterator[Fragment]:
        """One for each step between the opening and the finish."""
        if self.endless:
            return (Fragment(text) for text in chain.from_iterable(repeat(self.answer.pieces)))
        return self.whole()

    def whole(self) -> Iterator[Fragment]:
        """The fragments of a reply as a whole, which has an end in any case."""
        texts = (Fragment(text) for text in self.answer.pieces)
        return islice(chain(texts, self._tools()), self._count)

    def generated(self, step: int) -> int:
        """Output tokens when this step has been taken."""
        so_far = self.reasoning + step * self._per_chunk
        if self.endless:
            return so_far
        return min(so_far, self.output) if step <= self._count else self.output

    def step(self, index: int | None) -> int | None:
        """The number of a step that an answer may count from the end."""
        return index if index is None or index >= 0 else self._count + 3 + index

    def _tools(self) -> Iterator[Fragment]:
        for number, tool in enumerate(self.answer.tools):
            text = json.dumps(tool.arguments)
            for start in range(0, len(text), ARGUMENTS_PER_FRAGMENT):
                part = text[start : start + ARGUMENTS_PER_FRAGMENT]
                yield Fragment(part, number, begins=start == 0)


def _cut(count: int, most: int | None) -> int:
    return count if most is None else max(0, min(count, most))
