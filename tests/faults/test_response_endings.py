"""The same table for responses, passed through and translated either way."""

import asyncio
import os

import pytest

from tests.doubles import Double
from tests.faults.batches import Batch, call_and_kill
from tests.faults.endings import Case, Outcome
from tests.faults.kinds_of_endings import ENDINGS, UNDER_WAY, Way, make_cases
from tests.processes import Server, Valkey

TIMES = int(os.environ.get("ENDINGS", "10"))
"""Of each ending in each way."""
KILLED = 10 * TIMES
"""Calls, at the least."""
WAYS: list[Way] = [
    ("responses", spoken, stream)
    for spoken in ("responses", "openai", "anthropic")
    for stream in (True, False)
]
# Their last event is their finish, and it is held until the call is settled.
OF_RESPONSES = [name for name, ending in ENDINGS.items() if ending.leaves != "after the finish"]


@pytest.mark.parametrize("name", OF_RESPONSES)
def test_a_response_costs_what_the_table_says(
    request: pytest.FixtureRequest, valkey: Valkey, double: Double, name: str
) -> None:
    ending = ENDINGS[name]
    batch = Batch(request.getfixturevalue(ending.server), valkey, double)
    cases = make_cases(ending, TIMES, ways=WAYS)
    outcomes = batch.run(cases)
    assert not any(outcome.is_killed for outcome in outcomes)
    batch.check(cases, outcomes)


def test_a_killed_worker_charges_no_response(
    mortal: Server, valkey: Valkey, double: Double
) -> None:
    batch = Batch(mortal, valkey, double)
    cases: list[Case] = []
    outcomes: list[Outcome] = []
    while sum(outcome.is_killed for outcome in outcomes) < KILLED:
        made = make_cases(UNDER_WAY, max(TIMES // 2, 5), len(cases), WAYS)
        outcomes += asyncio.run(call_and_kill(mortal, double, batch, made))
        cases += made
    batch.check(cases, outcomes)
