"""A turn cut to a limit: what is generated, step by step, and what it costs."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.doubles.plan import ARGUMENTS_PER_FRAGMENT
from tests.doubles.realtime.conversation import SPOKEN_PER_SECOND
from tests.doubles.realtime.service import Turn

Usage = dict[str, Any]


class Step(NamedTuple):
    """Some of what is said, or of a tool's arguments; the output item that it belongs to."""

    item: int
    text: str
    tokens: int
    audio_tokens: int = 0


class Steps:
    """Those between the opening and the end."""

    def __init__(self, turn: Turn, speaks: bool, limit: int | None) -> None:
        self._turn = turn
        self.speaks = speaks
        self._limit = None if turn.ignore_limit else limit
        self.has_message = len(turn.pieces) > 0
        self.all: list[Step] = []
        tokens = turn.reasoning_tokens
        self.is_cut = self._is_over(max(tokens, turn.output_tokens or 0))
        for step in self._wanted():
            tokens += step.tokens
            if self._is_over(tokens):
                self.is_cut = True
                break
            self.all.append(step)

    def generated(self, taken: int) -> int:
        """Output tokens after so many steps."""
        if taken == len(self.all):
            return self._final()
        return self._up_to_limit(self._turn.reasoning_tokens + self._sum(taken))

    def audio_tokens(self, taken: int) -> int:
        return sum(step.audio_tokens for step in self.all[:taken])

    def _final(self) -> int:
        if self._turn.output_tokens is not None:
            return self._up_to_limit(self._turn.output_tokens)
        if self.is_cut and self._limit is not None:
            return self._limit
        return self._turn.reasoning_tokens + self._sum(len(self.all))

    def _sum(self, taken: int) -> int:
        return sum(step.tokens for step in self.all[:taken])

    def _is_over(self, tokens: int) -> bool:
        return self._limit is not None and tokens > self._limit

    def _up_to_limit(self, tokens: int) -> int:
        return tokens if self._limit is None else min(tokens, self._limit)

    def _wanted(self) -> Iterator[Step]:
        turn = self._turn
        audio = turn.audio_ms * SPOKEN_PER_SECOND // 1000 if self.speaks else 0
        for piece in turn.pieces:
            yield Step(0, piece, turn.tokens_per_piece + audio, audio)
        for number, tool in enumerate(turn.tools, int(self.has_message)):
            text = json.dumps(tool.arguments)
            for start in range(0, len(text), ARGUMENTS_PER_FRAGMENT):
                part = text[start : start + ARGUMENTS_PER_FRAGMENT]
                yield Step(number, part, turn.tokens_per_piece)


def usage_of(turn: Turn, input_tokens: int, output_tokens: int, audio_tokens: int) -> Usage | None:
    """As a response reports it."""
    if turn.usage == "absent":
        return None
    counts = {
        "total_tokens": input_tokens + output_tokens,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
    }
    if turn.malformed is not None:
        counts = dict.fromkeys(counts, turn.malformed)
    if not turn.details:
        return counts
    audio = min(audio_tokens, output_tokens)
    cached = {"text_tokens": turn.cached_tokens, "audio_tokens": 0, "image_tokens": 0}
    return {
        **counts,
        "input_token_details": {
            "text_tokens": input_tokens,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": turn.cached_tokens,
            "cached_tokens_details": cached,
        },
        # The reasoning is among the text's, as OpenAI has it.
        "output_token_details": {"text_tokens": output_tokens - audio, "audio_tokens": audio},
    }
