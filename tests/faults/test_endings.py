"""The table of endings in docs/gateway.md, each 100 times in each way that a call can go."""

import asyncio
from dataclasses import replace
from random import Random

import pytest

from tests.doubles import Answer, Double
from tests.faults.batches import Batch, call_and_kill
from tests.faults.endings import Case, Outcome
from tests.faults.kinds_of_endings import ENDINGS, UNDER_WAY, Ending, Made, make_cases
from tests.processes import Server, Valkey

TIMES = 100
KILLED = 400
"""Calls, at the least."""


@pytest.mark.parametrize("name", ENDINGS)
def test_an_ending_costs_what_the_table_says(
    request: pytest.FixtureRequest, valkey: Valkey, double: Double, name: str
) -> None:
    ending = ENDINGS[name]
    batch = Batch(request.getfixturevalue(ending.server), valkey, double)
    cases = make_cases(ending, TIMES)
    outcomes = batch.run(cases)
    assert not any(outcome.is_killed for outcome in outcomes)
    batch.check(cases, outcomes)


def _first_failure(random: Random, stream: bool) -> Answer:
    """Of an endpoint that another one is then asked for."""
    failures: list[Made] = [{"status": random.choice([429, 500, 503, 529])}, {"cut_at": 0}]
    return Answer(**random.choice([*failures, {"error_at": 0}] if stream else failures))


def test_only_the_endpoint_that_was_fallen_back_on_is_charged(
    patient: Server, valkey: Valkey, double: Double
) -> None:
    with Double() as second:
        batch = Batch(patient, valkey, double, second)
        cases = [
            replace(case, before=_first_failure(Random(case.seed), case.stream))
            for case in make_cases(Ending(), TIMES)
        ]
        batch.check(cases, batch.run(cases))
        assert len(double.calls()) == len(second.calls()) == len(cases)


def test_a_killed_worker_charges_nothing(mortal: Server, valkey: Valkey, double: Double) -> None:
    batch = Batch(mortal, valkey, double)
    cases: list[Case] = []
    outcomes: list[Outcome] = []
    while sum(outcome.is_killed for outcome in outcomes) < KILLED:
        made = make_cases(UNDER_WAY, 40, len(cases))
        outcomes += asyncio.run(call_and_kill(mortal, double, batch, made))
        cases += made
    batch.check(cases, outcomes)
