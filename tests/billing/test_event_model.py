"""Every order of the events of some lives, within the bounds of each row: what is stored in the end
is what an undisturbed run has, and for want of any rule it is not."""

from dataclasses import replace

import pytest

from tests.billing.event_model import (
    ENDED,
    NOT_YET,
    Invoice,
    Moment,
    Rules,
    Stored,
    ends,
    undisturbed,
)

BEGUN = Invoice("in1", 5_000, 0)
RAISED = Invoice("in2", 20_000, 0, 0.5)
RENEWED = Invoice("in3", 20_000, 1)

NOTHING, MADE = Moment(NOT_YET, ()), Moment(NOT_YET, ())
PAID = Moment("basic", (BEGUN,))
UPGRADED = Moment("premium", (BEGUN, RAISED))
NEXT = Moment("premium", (BEGUN, RAISED, RENEWED))
NEXT_BASIC = Invoice("in5", 5_000, 2)
LATE = Moment("basic", (BEGUN, Invoice("in4", 20_000, 1), NEXT_BASIC))
OVER = Moment(ENDED, (BEGUN,))

LIVES = {
    "bought": (NOTHING, MADE, PAID),
    "upgraded": (NOTHING, PAID, UPGRADED),
    "renewed": (NOTHING, PAID, UPGRADED, NEXT),
    "paid late": (NOTHING, PAID, Moment("basic", (BEGUN, NEXT_BASIC)), LATE),
    "cancelled": (NOTHING, PAID, OVER),
    "bought and cancelled": (NOTHING, MADE, PAID, OVER),
}
ROWS = [
    # Life, copies of each event at the same time, handlers that die.
    *[(name, 1, 1) for name in LIVES if name not in ("renewed", "paid late")],
    ("renewed", 1, 0),
    ("paid late", 1, 0),
    ("bought", 2, 0),
    ("bought", 2, 1),
    ("upgraded", 2, 0),
    ("cancelled", 2, 0),
]
"""More copies and deaths: tests/shop/test_more_orders.py."""


def check(name: str, copies: int, deaths: int, rules: Rules) -> bool:
    """All orders end as the undisturbed run: with its plan and balance, and each invoice once."""
    life = LIVES[name]
    found = ends(life, copies, deaths, rules)
    assert found
    return {_seen(stored) for stored in found} == {_seen(undisturbed(life))}


def _seen(stored: Stored) -> tuple[str, int, tuple[str, ...]]:
    """Not what each invoice gave: a period that is over when it is seen gives nothing any more."""
    return stored.plan, stored.allowance, tuple(name for name, _ in stored.paid)


@pytest.mark.parametrize(("name", "copies", "deaths"), ROWS)
def test_all_orders_end_alike(name: str, copies: int, deaths: int) -> None:
    assert check(name, copies, deaths, Rules())


@pytest.mark.parametrize(
    ("rule", "name", "copies", "deaths"),
    [
        ("ticket", "cancelled", 1, 0),
        ("overtaken", "bought", 2, 0),
        ("once", "bought", 2, 0),
        ("period", "paid late", 1, 0),
        ("begun", "bought", 1, 0),
    ],
)
def test_each_rule_is_needed(rule: str, name: str, copies: int, deaths: int) -> None:
    assert not check(name, copies, deaths, replace(Rules(), **{rule: False}))
