"""A buyer: an identified user whose customer at Stripe is known, and its payments."""

import json
from typing import Any
from uuid import uuid4

from server.billing.payments import (
    Applied,
    Credited,
    Kind,
    Payment,
    Payments,
    Period,
    Plan,
)
from server.metering.meter import Meter, new_hold_id
from server.metering.results import Subscription
from server.tenants.groups import Group
from server.who import Who
from tests.api import Api, User
from tests.processes import Valkey
from tests.stored import now_ms, put, record

DAY_MS = 86_400_000
MONTH_MS = 30 * DAY_MS
FREE = 100
PLANS = {"basic": 5_000, "middle": 10_000, "premium": 20_000}


def group_of(plan: str) -> Group:
    return Group(tokens=PLANS[plan], rate_limit=1_000, rate_limit_window=60)


class Buyer:
    """With FREE tokens of a permanent group `free`, and a clock of its own for Stripe's times."""

    def __init__(self, api: Api, valkey: Valkey, payments: Payments, meter: Meter) -> None:
        self.user: User = api.login()
        self.customer_id = f"cus_{uuid4().hex}"
        self.payments = payments
        self.meter = meter
        self._valkey = valkey
        valkey.client.hset(
            f"{{user:{self.user.user_id}}}:account",
            mapping={"identity:google:00": "1 1", "stripeCustomer": self.customer_id},
        )
        for key in (f"user:{self.user.user_id}", f"{{user:{self.user.user_id}}}:ledger"):
            valkey.client.persist(key)
        valkey.client.persist(f"apiKey:{self.user.api_key}")
        put(valkey, self.user, self.record() | {"group": "free"})
        self.starts_ms = now_ms(valkey)
        self._at_stripe: tuple[Plan | None, Subscription] = (
            None,
            Subscription("", "none", 0, False),
        )

    def record(self) -> dict[str, Any]:
        return record(self._valkey, self.user)

    @property
    def ids(self) -> tuple[str, str]:
        return self.user.api.tenant_id, self.user.user_id

    @property
    def who(self) -> Who:
        return Who(*self.ids, self.user.api_key)

    async def ticket(self) -> int:
        return await self.payments.ticket(self.user.user_id, self.customer_id)

    async def set_plan(
        self, name: str = "", ticket: int = 0, until_ms: int = 0, status: str = ""
    ) -> None:
        """'': none."""
        until_ms = until_ms or self.starts_ms + 100 * MONTH_MS
        plan = Plan(name, group_of(name), until_ms) if name else None
        status = status or ("active" if name else "canceled")
        self._at_stripe = plan, Subscription(name, status, until_ms, False)
        await self._apply(ticket)

    async def _apply(self, ticket: int, *paid: Payment) -> Applied:
        ticket = ticket or await self.ticket()
        return await self.payments.set_plan(
            *self.ids, ticket, *self._at_stripe, paid, {"event": "test"}
        )

    async def pack(self, tokens: int, field: str = "session:1") -> Credited:
        return await self.payments.credit(*self.ids, field, tokens, {"payment": field})

    async def refill(
        self, plan: str, period: int = 0, field: str = "", kind: Kind = "cycle", of: str = "sub"
    ) -> int | None:
        """The plan's tokens for this period, counted in months. What it gave; None: it was credited
        before."""
        field = field or f"invoice:{of}{period}"
        whole = self.period(period, of)
        payment = Payment(field, kind, PLANS[plan], whole, whole.start_ms, {"payment": field})
        return await self._pay(payment)

    async def upgrade(
        self, plan: str, part: float, period: int = 0, field: str = "invoice:up", of: str = "sub"
    ) -> int | None:
        """To this plan, when this part of the period was still to come."""
        whole = self.period(period, of)
        from_ms = whole.end_ms - int(part * MONTH_MS)
        payment = Payment(field, "upgrade", PLANS[plan], whole, from_ms, {"payment": field})
        return await self._pay(payment)

    async def _pay(self, payment: Payment) -> int | None:
        applied = await self._apply(0, payment)
        assert not applied.too_large
        if not applied.credited:
            return None
        given: int = json.loads(self._payment(payment.field))[1]
        return given

    def _payment(self, field: str) -> str:
        return str(self._valkey.client.hget(f"{{user:{self.user.user_id}}}:payments", field))

    async def take_back(
        self, field: str, part: float, ticket: int = 0, is_disputed: bool = False
    ) -> int:
        ticket = ticket or await self.ticket()
        return await self.payments.take_back(
            *self.ids, ticket, field, int(part * 1_000), 1_000, is_disputed, {"payment": field}
        )

    def period(self, number: int, of: str = "sub") -> Period:
        start = self.starts_ms + number * MONTH_MS
        return Period(of, start, start + MONTH_MS)

    async def spend(self, tokens: int) -> None:
        """Raises PaymentRequired."""
        await self.meter.charge(self.who, tokens, {})

    async def hold(self, tokens: int) -> str:
        """The ID of a hold of the gateway's. Raises PaymentRequired."""
        held = await self.meter.hold(self.who, tokens, 1, 600_000, "own", {}, hold_id=new_hold_id())
        return held.hold_id

    async def settle(self, hold_id: str, tokens: int) -> int:
        """The tokens that were taken."""
        who = Who(*self.ids, "")
        settled = await self.meter.settle(who, hold_id, tokens, "own", {})
        return settled.tokens

    def state(self) -> tuple[str, int, int]:
        """The group, all that may be spent, what is held included, and the extra of it."""
        stored = self.record()
        left = stored["tokensLeft"] + sum(hold[0] for hold in stored["holds"].values())
        return stored["group"], left, min(stored.get("extra", 0), left)

    def changes(self) -> list[tuple[str, int]]:
        """The ledger's, the oldest first."""
        return [(op, tokens) for op, tokens, _ in self.user.changes()]

    def check(self) -> None:
        """The invariant, and that the ledger adds up."""
        stored = self.record()
        held = sum(hold[0] for hold in stored["holds"].values())
        left, used = stored["tokensLeft"], stored["tokensUsed"]
        assert stored["tokensGranted"] == left + held + used
        assert left >= 0
        assert 0 <= stored.get("extra", 0) <= left + held + used
        (entry,) = self._valkey.client.lrange(f"{{user:{self.user.user_id}}}:ledger", 0, 0)
        assert json.loads(entry)[4] == left

    def age_plan(self) -> None:
        """The plan is overdue."""
        stored = self.record()
        stored["plan"]["until"] = now_ms(self._valkey)
        put(self._valkey, self.user, stored)
