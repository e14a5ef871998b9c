"""Every order of a few logins' steps, with deaths between, and what must be true after each step.

The bounds: two at a time, each of which may die anywhere; then each identity logs in once more,
undisturbed. No state is gone on from twice, so that all orders there are, are tried.
`tests/sign_in_races` tries more of them at a time, and longer.
"""

import random

import pytest

from tests.identity.ladder_model import CHANGES
from tests.identity.ladder_scenarios import SCENARIOS, crowd, notice
from tests.identity.orders import Scenario, explore, wander


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_order_of_two(scenario: Scenario) -> None:
    # Of three at a time there are ten times as many orders: sign_in_races tries them all.
    states, found = explore(scenario, deaths=1 if scenario is notice else 2)
    assert not found, found
    assert states > 99


def test_some_orders_of_five() -> None:
    seed = random.SystemRandom().randrange(10**9)
    chance = random.Random(seed)
    for _ in range(10_000):
        assert not wander(crowd, 3, chance), f"seed {seed}"


@pytest.mark.parametrize("change", CHANGES)
def test_a_wrong_ladder_is_found(change: str) -> None:
    assert any(explore(scenario, 1, change)[1] for scenario in SCENARIOS)
