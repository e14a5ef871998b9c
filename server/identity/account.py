"""Account: what is known of a user's logins, as lua/prelude/account.lua has it."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from server.errors import Unreadable
from server.store import keys
from server.store.status import Status
from server.store.store import Store

RECENT_MS = 60 * 60 * 1000
LIVE = ("active", "trialing", "past_due")
"""What Stripe says of a subscription that gives its plan's limits."""


class Linked(NamedTuple):
    """An identity of a user: when it was linked, and when it last signed in."""

    at_ms: int
    last_login_ms: int


@dataclass(slots=True)
class Account:
    """`logins`: API key -> ms of the last login that came with it or was answered with it.
    `ended`: API keys that the user has lost, whose records are still to be removed."""

    identities: dict[str, Linked] = field(default_factory=dict)
    logins: dict[str, int] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    """Of the person: `email`, `name`, and `appleClientId` and `appleToken`, with which Apple is
    told that the account has gone; and of what it has bought."""

    def is_recent(self, api_key: str, now_ms: int) -> bool:
        """Has a login had to do with this key within the last hour? A copied key must not become a
        lasting way in."""
        return self.logins.get(api_key, 0) > now_ms - RECENT_MS

    @property
    def has_trialed(self) -> bool:
        """Has it had the tokens of a trial of a plan? There is no second one."""
        return "trialed" in self.known

    def is_subscribed(self) -> bool:
        """Does it pay for a plan, as far as Stripe was asked? Raises Unreadable."""
        try:
            _, status, *_ = orjson.loads(self.known.get("subscription", '["", ""]'))
        except (ValueError, TypeError):
            raise Unreadable("the subscription of a user") from None
        return status in LIVE


class Seen(NamedTuple):
    """A user with its account, as they were at `now_ms`. `status`: OK, or UNKNOWN_KEY or CLOSING,
    and then there is nothing else."""

    status: Status
    account: Account
    group: str = ""
    keys: int = 0
    now_ms: int = 0


async def see(store: Store, tenant_id: str, user_id: str, api_key: str, ledger_size: int) -> Seen:
    """`api_key`: that the user must have, '' for none. Raises Unavailable and Unreadable."""
    status, values = await store.run(
        "account", keys.of_account(user_id), tenant_id, api_key, ledger_size
    )
    if status is not Status.OK:
        return Seen(status, Account())
    group, count, now_ms, fields = values
    return Seen(status, parse(fields), group.decode(), count, now_ms)


def parse(fields: list[Any]) -> Account:
    """Of the hash, each name before its value. Raises Unreadable."""
    account = Account()
    try:
        for name, value in zip(fields[::2], fields[1::2], strict=True):
            _add(account, name.decode(), value.decode())
    except (ValueError, TypeError):
        raise Unreadable("the account of a user") from None
    return account


def _add(account: Account, name: str, value: str) -> None:
    """Raises ValueError."""
    kind, _, rest = name.partition(":")
    if kind == "identity":
        linked, last_login = value.split(" ")
        account.identities[rest] = Linked(int(linked), int(last_login))
    elif kind == "key":
        account.logins[rest] = int(value)
    elif kind == "ended":
        account.ended.append(rest)
    elif kind not in ("new", "unlinked"):
        account.known[name] = value
