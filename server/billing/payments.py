"""Payments: what Stripe says of a user, as Redis has it; each method is one script."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import orjson

from server.amounts import LARGEST
from server.errors import InvalidApiKey, TooManyRequests
from server.metering.results import Subscription, subscription_of
from server.store import keys
from server.store.status import Status
from server.store.store import Store
from server.tenants.groups import Group
from server.who import Ref, Who

Kind = Literal["cycle", "trial", "upgrade"]


BEYOND = f"the balance, or all grants together, would be above {LARGEST}"


class Orphan(Exception):
    """Money without a balance: for no user of ours, or more than a balance may be."""


class Overtaken(Exception):
    """Stripe was asked again since, so that this answer of its may be the older one."""


class Period(NamedTuple):
    """Of a subscription, from its begin to its end, in ms."""

    subscription: str
    start_ms: int
    end_ms: int

    @property
    def name(self) -> str:
        return f"{self.subscription}:{self.start_ms}"


class Payment(NamedTuple):
    """What was paid for a `period` of a plan, with its `tokens`; an upgrade within it counts from
    `from_ms` on. `field` names it."""

    field: str
    kind: Kind
    tokens: int
    period: Period
    from_ms: int
    ref: Ref


class Plan(NamedTuple):
    """A subscription that gives its user a group's limits, at most until then."""

    name: str
    group: Group
    until_ms: int


class Customer(NamedTuple):
    """A user as a buyer; `customer_id` is Stripe's, '' for none."""

    customer_id: str
    subscription: Subscription | None
    is_disputed: bool
    is_identified: bool
    is_recent: bool
    """A login had to do with its key within the last hour."""

    @property
    def must_sign_in(self) -> bool:
        """Before it ends, or changes, what it has bought. Who has lost its identity cannot."""
        return self.is_identified and not self.is_recent


class Credited(NamedTuple):
    """What a pack gave, now or, `replayed`, before."""

    tokens: int
    tokens_left: int
    replayed: bool


class Applied(NamedTuple):
    """Payments, by their fields: credited now; and more than a balance can hold."""

    credited: list[str]
    too_large: list[str]


class Payments:
    """Of the users in `store`. Raises Unavailable and Unreadable as Meter does."""

    def __init__(self, store: Store, ledger_size: int) -> None:
        self._store = store
        self._ledger_size = ledger_size

    async def customer(self, who: Who, new_customer_id: str = "") -> Customer:
        """The user as a buyer, who becomes that customer unless it is one. Raises InvalidApiKey."""
        status, values = await self._store.run(
            "customer",
            keys.of_payments(who.user_id),
            who.tenant_id,
            who.api_key,
            new_customer_id,
            self._ledger_size,
        )
        if status is Status.UNKNOWN_KEY:
            raise InvalidApiKey
        customer_id, subscription, *flags = values
        is_disputed, is_identified, is_recent = map(bool, flags)
        told = subscription_of(subscription)
        return Customer(customer_id.decode(), told, is_disputed, is_identified, is_recent)

    async def ticket(self, user_id: str, customer_id: str, pause_ms: int = 0) -> int:
        """For what Stripe is about to be asked of this customer, not within `pause_ms` of the last
        one that was taken so. Raises Orphan if the user is not the customer; TooManyRequests."""
        status, values = await self._store.run(
            "ticket", [keys.account(user_id)], customer_id, pause_ms
        )
        if status is Status.UNKNOWN_USER:
            raise Orphan("not the user's customer")
        if status is Status.RATE_LIMITED:
            raise TooManyRequests(values[0])
        return int(values[0])

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
        """Gives the user a plan's limits, or ends its plan, and credits what was `paid` for it, the
        oldest first. Nothing, if something newer counts.

        Raises Orphan, Overtaken.
        """
        group = plan.group if plan else None
        status, values = await self._store.run(
            "plan",
            keys.of_payments(user_id),
            tenant_id,
            ticket,
            plan.name if plan else "",
            group.rate_limit if group else 0,
            group.rate_limit_window if group else 0,
            plan.until_ms if plan else 0,
            orjson.dumps([*told]),
            orjson.dumps([_written(payment) for payment in paid]),
            self._ledger_size,
            orjson.dumps(ref),
        )
        _refuse(status)
        if status is Status.STALE:
            return Applied([], [])
        credited, too_large = values
        return Applied([each.decode() for each in credited], [each.decode() for each in too_large])

    async def credit(
        self, tenant_id: str, user_id: str, field: str, tokens: int, ref: Ref
    ) -> Credited:
        """A pack, whose payment `field` names. Raises Orphan."""
        status, values = await self._store.run(
            "credit",
            (keys.user(user_id), keys.ledger(user_id), keys.payments(user_id)),
            tenant_id,
            field,
            tokens,
            self._ledger_size,
            orjson.dumps(ref),
        )
        _refuse(status)
        tokens, tokens_left = values
        return Credited(tokens, tokens_left, status is Status.REPLAYED)

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
        """The tokens that were taken now for `returned` of all that was `paid`, less than 0 if they
        were given again; 0 if something newer counts, or the payment gave nothing.

        Raises Orphan, Overtaken.
        """
        status, values = await self._store.run(
            "takeback",
            keys.of_payments(user_id),
            tenant_id,
            field,
            ticket,
            returned,
            paid,
            int(is_disputed),
            self._ledger_size,
            orjson.dumps(ref),
        )
        _refuse(status)
        return int(values[0]) if status is Status.OK else 0


def _written(payment: Payment) -> list[str | int]:
    """As lua/plan.lua reads it."""
    period, ref = payment.period, orjson.dumps(payment.ref).decode()
    amounts = (payment.field, payment.kind, payment.tokens)
    return [*amounts, period.name, period.start_ms, period.end_ms, payment.from_ms, ref]


def _refuse(status: Status) -> None:
    """Raises Orphan, Overtaken."""
    if status is Status.OVERTAKEN:
        raise Overtaken
    if status is Status.UNKNOWN_USER:
        raise Orphan("no such user")
    if status is Status.TOO_LARGE:
        raise Orphan(BEYOND)
