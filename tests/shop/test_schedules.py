"""Random lives of a buyer, whose events come several times, in any order, when all is over, from a
Stripe that fails now and then: the end is that of a life in which nothing went wrong, to the
token."""

import random
from typing import Any

import pytest

from tests.metering.test_audit import audit
from tests.shop.lives import Life, Undisturbed
from tests.shop.shop import Shop

SEEDS = 12
FAULTS: list[dict[str, Any]] = [{"status": 500}, {"lose": True}, {"status": 429}, {"seconds": 0.3}]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_goes_wrong_changes_nothing(shop: Shop, other_shop: Shop, seed: int) -> None:
    shop.listen()
    calm = Undisturbed(shop, seed)
    calm.live()
    faults = random.Random(seed)
    other_shop.listen(copies=faults.choice([1, 3]), hold=True, shuffle=seed, delay=0.1)
    wild = Life(other_shop, seed)
    wild.live()
    for _ in range(faults.randrange(4)):
        fault = faults.choice(FAULTS)
        other_shop.account.ask("fault", matches="GET /v1/", times=faults.randrange(1, 4), **fault)
    other_shop.account.ask("release")
    other_shop.finish()
    assert (wild.end(), wild.paid()) == (calm.end(), calm.paid())
    clean = audit(other_shop.valkey, other_shop.api)
    assert clean.returncode == 0, clean.stdout
