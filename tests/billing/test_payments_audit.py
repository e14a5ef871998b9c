"""What the audit finds of payments and plans."""

import json
from typing import Any

import pytest

from server.metering.payments_audit import faults_of_payments
from tests.api import Api
from tests.billing.buyers import Buyer
from tests.metering.test_audit import audit
from tests.processes import Valkey

PLAN = {"group": "free", "until": 1, "rateLimit": 1, "rateLimitWindow": 1}
PAID = [1, 100, 20, 30, "", 4]


def faults(plan: Any, account: dict[str, Any], **payments: Any) -> list[str]:
    def flat(fields: dict[str, Any]) -> list[bytes]:
        pairs = [(name, json.dumps(value)) for name, value in fields.items()]
        return [part.encode() for pair in pairs for part in pair]

    user = {"plan": plan} if plan else {}
    return [*faults_of_payments(user, flat(account), flat(payments))]


def test_what_is_right_has_no_faults() -> None:
    assert faults(None, {}) == []
    account = {"ticket": 4, "applied": 3}
    assert faults(PLAN | {"freeLeft": 5}, account, one=PAID, **{"disputed:one": 4}) == []


@pytest.mark.parametrize(
    ("plan", "account", "payments"),
    [
        (PLAN | {"until": -1}, {}, {}),
        (PLAN | {"freeLeft": 0.5}, {}, {}),
        (PLAN | {"rateLimit": "1"}, {}, {}),
        (PLAN | {"group": 5}, {}, {}),
        (None, {"ticket": 1, "applied": 2}, {}),
        (None, {}, {"one": [1, 100, 40, 30, "", 4]}),
        (None, {}, {"one": [1, 100, 20, 130, "", 4]}),
        (None, {}, {"one": [1, 100, -1, 30, "", 4]}),
        (None, {}, {"disputed:one": 1}),
    ],
)
def test_faults_are_found(plan: Any, account: Any, payments: Any) -> None:
    assert len(faults(plan, account, **payments)) == 1


async def test_the_audit_looks_at_payments(buyer: Buyer, api: Api, valkey: Valkey) -> None:
    await buyer.set_plan("basic")
    await buyer.pack(100)
    # Of a user that the tests have made, which no login has linked.
    clean = audit(valkey, api).stdout.splitlines()[0]
    assert clean == f"user:{buyer.user.user_id}: identity 1 is not its own"
    payments = f"{{user:{buyer.user.user_id}}}:payments"
    valkey.client.hset(payments, "session:1", json.dumps([1, 100, 101, 101, "", 0]))
    told = audit(valkey, api).stdout.splitlines()[0]
    assert "of session:1 101 of 101 tokens due are taken back, of 100; " in told
