"""More of the ladder's model than `make test` has time for."""

import random

import pytest

from tests.identity.ladder_scenarios import crowd, notice, three_devices
from tests.identity.orders import Scenario, explore, wander


@pytest.mark.parametrize("scenario", [notice, three_devices])
def test_every_order_of_three(scenario: Scenario) -> None:
    """Two of whom may die."""
    states, found = explore(scenario, deaths=2)
    assert not found, found
    assert states > 10_000 or scenario is notice


@pytest.mark.parametrize("scenario", [crowd, three_devices])
def test_orders_by_chance(scenario: Scenario) -> None:
    seed = random.SystemRandom().randrange(10**9)
    chance = random.Random(seed)
    for _ in range(60_000):
        assert not wander(scenario, 3, chance), f"seed {seed}"
