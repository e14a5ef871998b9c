"""Comparison: what a user has, beside what Stripe says; nothing is changed."""

import math
from collections.abc import Sequence
from time import time
from typing import Any

import orjson

from server.billing.payments import Applied, Credited, Orphan, Payment, Payments, Plan
from server.errors import Unreadable
from server.metering.results import Subscription
from server.store import keys
from server.store.status import Status
from server.who import Ref


class Comparison(Payments):
    """Of one user: who works on it as on Payments leaves in `found` all that would have changed,
    in words. Raises Unreadable where what is stored is not as ours."""

    found: list[str]
    _user: dict[str, Any]
    _account: dict[str, str]
    _payments: dict[str, Any]

    async def ticket(self, user_id: str, customer_id: str, pause_ms: int = 0) -> int:
        """None is taken. Raises Orphan."""
        self.found = []
        status, values = await self._store.run_bulk("audit", keys.of_user(user_id))
        try:
            self._user = orjson.loads(values[0]) if status is Status.OK else {"closed": True}
            self._account = _texts(values[6]) if status is Status.OK else {}
            self._payments = _texts(values[8]) if status is Status.OK else {}
        except (ValueError, LookupError, TypeError):
            raise Unreadable("a user") from None
        if self._user.get("closed") or self._account.get("stripeCustomer") != customer_id:
            raise Orphan("not the user's customer")
        return 0

    async def set_plan(
        self,
        tenant_id: str,
        user_id: str,
        ticket: int,
        plan: Plan | None,
        told: Subscription,
        paid: Sequence[Payment],
        ref: Ref,
    ) -> Applied:
        """Raises Orphan."""
        self._check_tenant(tenant_id)
        now_ms = time() * 1000
        has = self._user.get("plan")
        has_name = self._user["group"] if has and has["until"] > now_ms else ""
        name = plan.name if plan and plan.until_ms > now_ms else ""
        if name != has_name:
            self.found.append(f"has plan {has_name or 'none'}, at Stripe {name or 'none'}")
        elif name and self._account.get("subscription") != orjson.dumps([*told]).decode():
            self.found.append(f"has an older state of plan {name}")
        missing = [payment.field for payment in paid if payment.field not in self._payments]
        self.found += [f"{field} is not credited" for field in missing]
        return Applied([], [])

    async def credit(
        self, tenant_id: str, user_id: str, field: str, tokens: int, ref: Ref
    ) -> Credited:
        """Raises Orphan."""
        self._check_tenant(tenant_id)
        if field not in self._payments:
            self.found.append(f"{field} is not credited")
        return Credited(tokens, 0, replayed=True)

    async def take_back(
        self,
        tenant_id: str,
        user_id: str,
        ticket: int,
        field: str,
        returned: int,
        paid: int,
        is_disputed: bool,
        ref: Ref,
    ) -> int:
        """Raises Orphan."""
        self._check_tenant(tenant_id)
        if field in self._payments:
            _, tokens, _, due, *_ = orjson.loads(self._payments[field])
            # Rounded as Lua does.
            new_due = tokens if returned >= paid else math.floor(float(tokens * returned) / paid)
            if new_due != due:
                self.found.append(f"of {field} {due} tokens were due back, at Stripe {new_due}")
            if is_disputed is not (f"disputed:{field}" in self._payments):
                self.found.append(f"{field} is{'' if is_disputed else ' not'} disputed at Stripe")
        return 0

    def _check_tenant(self, tenant_id: str) -> None:
        if self._user["tenantId"] != tenant_id:
            raise Orphan("no such user")


def _texts(fields: list[bytes]) -> dict[str, str]:
    """Of a hash, each name before its value."""
    return {fields[i].decode(): fields[i + 1].decode() for i in range(0, len(fields), 2)}
