"""Answers that end in some way at some point: the same ones for the same seed."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from tests.doubles.answer import Answer
from tests.doubles.quirks import HARMLESS

MOST_PIECES = 12

# Each gets the number of the last step.
ENDINGS: dict[str, Callable[[Random, int], dict[str, Any]]] = {
    "completed": lambda _random, _last: {},
    "no usage": lambda _random, _last: {"usage": "absent"},
    "malformed usage": lambda random, _last: {"malformed": random.choice(["12", 1.5, -3, True])},
    "a harmless quirk": lambda random, _last: {"quirks": (random.choice([*HARMLESS.values()]),)},
    "refused": lambda random, _last: {"status": random.choice([400, 401, 429, 500, 503, 529])},
    "cut before the head": lambda _random, _last: {"cut_at": 0},
    "cut": lambda random, last: {"cut_at": random.randint(1, last)},
    "error event": lambda random, last: {"error_at": random.randint(0, last)},
    "no finish": lambda _random, _last: {"without_finish": True},
    "no done": lambda _random, _last: {"without_done": True},
    "stopped": lambda random, last: {"stop_at": random.randint(0, last)},
}


def random_answer(seed: int, ending: str = "", **fixed: Any) -> Answer:
    """An answer with one of the ENDINGS, any if none is named; `fixed` as in Answer.

    A "stopped" one ends when it is released or its peer goes.
    """
    random = Random(seed)
    words = random.randint(1, MOST_PIECES)
    answer = Answer(
        pieces=[f"word{number} " for number in range(words)],
        input_tokens=random.randint(10, 60),
        cached_tokens=random.choice([0, 7]),
        reasoning_tokens=random.choice([0, random.randint(1, 30)]),
        tokens_per_chunk=random.randint(1, 3),
    )
    make = ENDINGS[ending or random.choice(list(ENDINGS))]
    return replace(answer, **{**make(random, words + 2), **fixed})
