"""As tests/billing/test_event_model.py and test_mix.py, with more copies, deaths and seeds."""

import pytest

from tests.billing.buyers import Buyer
from tests.billing.conftest import buyer
from tests.billing.event_model import Rules
from tests.billing.test_event_model import check
from tests.billing.test_mix import SEEDS, Mix

__all__ = ["buyer"]

MORE_SEEDS = 150


@pytest.mark.parametrize(
    ("name", "copies", "deaths"),
    [
        ("bought", 2, 2),
        ("upgraded", 2, 1),
        ("cancelled", 2, 2),
        ("renewed", 1, 2),
        ("paid late", 1, 2),
        ("bought and cancelled", 1, 2),
    ],
)
def test_all_orders_end_alike(name: str, copies: int, deaths: int) -> None:
    assert check(name, copies, deaths, Rules())


@pytest.mark.parametrize("seed", range(SEEDS, SEEDS + MORE_SEEDS))
async def test_no_mix_yields_more_than_was_paid_for(buyer: Buyer, seed: int) -> None:
    await Mix(buyer, seed).run()
