"""How calls can end: what makes an answer bad, or its client leave; and cases of each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from random import Random
from typing import Any

from tests.doubles import Answer, Tool, random_answer
from tests.doubles.quirks import HARMLESS
from tests.doubles.responses_wire import LEAST_LIMIT
from tests.faults.endings import NOWHERE, Case, Leaves, fragments, text_answer
from tests.gateway.asking import PROTOCOLS

ANY = 0
"""Whichever status: chance decides which failure comes first."""
SAME = -1
"""The status of the provider."""
Way = tuple[str, str, bool]
"""What the client asks by, what the provider speaks, and whether it is a stream."""
WAYS: list[Way] = [*product(PROTOCOLS, PROTOCOLS, (True, False))]

Made = dict[str, Any]
"""Members of the case, and those of its answer under their names."""


@dataclass(frozen=True)
class Ending:
    """How to make a case's answer bad: `last` is the number of its last step."""

    answer: Callable[[Random, int], Made] = lambda _random, _last: {}
    status: int = 200
    of_whole: int | None = 200
    """The status where the reply is not streamed; None: it cannot end so."""
    leaves: Leaves = "never"
    server: str = "patient"
    """The fixture."""
    case: Callable[[Random], Made] = lambda _random: {}


def _refusal(random: Random, _: int) -> Made:
    return {"status": random.choice([400, 404, 409, 413, 422])}


def _failure(random: Random, _: int) -> Made:
    return random.choice([{"status": random.choice([401, 402, 403, 500, 503, 529])}, {"cut_at": 0}])


def _any_failure(random: Random, last: int) -> Made:
    faults: list[Made] = [
        {"status": random.choice([400, 401, 429, 500])},
        {"cut_at": random.randint(0, last)},
        {"error_at": random.randint(0, last)},
        {"without_finish": True},
        {},
    ]
    pauses = {"delay": random.uniform(0, 0.03), "pause": random.uniform(0, 0.005)}
    return pauses | random.choice(faults)


def _small_limit(random: Random) -> Made:
    return {"limit": random.choice([random.randint(1, 30), 500])}


ENDINGS = {
    "completed": Ending(case=_small_limit),
    "usage beside choices": Ending(lambda _random, _last: {"usage": "with_choices"}),
    "a harmless quirk": Ending(
        lambda random, _last: {"quirks": (random.choice([*HARMLESS.values()]),)}
    ),
    "no usage": Ending(lambda _random, _last: {"usage": "absent"}, case=_small_limit),
    "malformed usage": Ending(
        lambda random, _last: (
            {"malformed": random.choice(["12", 1.5, -3, True, 10**14])}
            | dict.fromkeys(("cached_tokens", "cache_write_tokens", "reasoning_tokens"), 0)
        )
    ),
    "no end of the stream": Ending(lambda _random, _last: {"without_done": True}, of_whole=None),
    "no finish": Ending(lambda _random, _last: {"without_finish": True}, of_whole=None),
    "error event first": Ending(lambda _random, _last: {"error_at": 0}, 502, None),
    "error event": Ending(
        lambda random, last: {"error_at": random.randint(1, last)}, of_whole=None
    ),
    "cut": Ending(lambda random, last: {"cut_at": random.randint(1, last)}, of_whole=502),
    "refused": Ending(_refusal, SAME, SAME),
    "busy": Ending(lambda _random, _last: {"status": 429}, 429, 429),
    "failed before the first byte": Ending(_failure, 502, 502),
    "unreachable": Ending(status=502, of_whole=502, case=lambda _random: {"endpoint": NOWHERE}),
    "no first byte in time": Ending(
        lambda _random, _last: {"stop_at": 0}, 504, 504, server="soon_tired"
    ),
    "no next byte in time": Ending(
        lambda random, last: {"stop_at": random.randint(1, last)}, of_whole=None, server="hurried"
    ),
    "beyond its limit": Ending(
        lambda _random, _last: {"ignore_limit": True, "pause": 0.001},
        case=lambda random: {"limit": random.randint(30, 40)},
    ),
    "client gone before the head": Ending(
        lambda _random, _last: {"stop_at": 0}, leaves="before the head"
    ),
    "client gone while the provider fails": Ending(_any_failure, ANY, ANY, "before the head"),
    "client gone in mid-stream": Ending(
        lambda random, _last: {"pause": random.uniform(0, 0.005)},
        of_whole=None,
        leaves="in mid-stream",
    ),
    "client gone after the finish": Ending(
        lambda random, _last: {"stop_at": -1, "usage": random.choice(["absent", "reported"])},
        of_whole=None,
        leaves="after the finish",
    ),
    "client gone after the finish, and no usage": Ending(
        lambda _random, _last: {"stop_at": -1},
        of_whole=None,
        leaves="after the finish",
        server="hurried",
        case=lambda _random: {"releases": False},
    ),
}


UNDER_WAY = Ending(lambda random, last: {"stop_at": random.randint(0, last)})


def make_cases(
    ending: Ending, times: int, first_seed: int = 0, ways: list[Way] = WAYS
) -> list[Case]:
    found = [way for way in ways if way[2] or ending.of_whole is not None]
    return [
        make_case(ending, seed, *way)
        for seed, way in enumerate((way for way in found for _ in range(times)), first_seed)
    ]


def make_case(ending: Ending, seed: int, asked: str, spoken: str, stream: bool) -> Case:
    random = Random(seed)
    answer = text_answer(random, random_answer(seed, "completed"))
    if stream and random.random() < 0.2:
        answer = replace(answer, tools=(Tool("look", {"at": "all of it"}), Tool("stop", {"in": 5})))
    steps = len(fragments(answer, 10_000)) + 3
    answer = replace(answer, **ending.answer(random, steps - 1))
    status = ending.status if stream else ending.of_whole
    assert status is not None
    members = ending.case(random)
    if spoken == "responses":
        members["limit"] = max(members.get("limit", 500), LEAST_LIMIT)
        if stream and status == 200 and not answer.reasoning_tokens:
            status = _status_of_announced(answer, ending)
    return Case(
        seed=seed,
        asked=asked,
        spoken=spoken,
        stream=stream,
        answer=answer,
        leaves=ending.leaves,
        status=answer.status if status == SAME else status,
        **members,
    )


def _status_of_announced(answer: Answer, ending: Ending) -> int:
    """Of a response that perhaps goes wrong when it has said that it begins, and no more."""
    if 1 in (answer.error_at, answer.cut_at):
        return 502
    is_late = answer.stop_at == 1 and ending.server != "patient"
    return 504 if is_late else 200
