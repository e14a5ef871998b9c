"""`python -m server audit`: reads every user with its ledger and checks that the money is right."""

import asyncio
import logging
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from time import time
from typing import Any

import orjson

from server.amounts import is_amount
from server.errors import Unreadable
from server.logs import printable
from server.metering.account_audit import faults_of_account, keys_under_way
from server.metering.payments_audit import faults_of_payments
from server.metering.restricted_audit import faults_of_restricted
from server.metering.results import Entry
from server.metering.timed_audit import faults_of_timed
from server.store import keys
from server.store.status import Status
from server.store.store import Store
from server.tenants.groups import is_temporary

log = logging.getLogger(__name__)

AT_ONCE = 100
SETTLE_DOWN_SECONDS = 2.0
EXPIRY_SLACK_MS = 60_000
# As logins give them.
_USER_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_COUNTS = ("tokensLeft", "tokensUsed", "tokensGranted", "overrun", "entries")


class Audit:
    """Checks users, of one tenant or of all; prints each that breaks a rule."""

    def __init__(self, store: Store, tenant_id: str | None) -> None:
        self._store = store
        self._tenant_id = tenant_id
        self._scanned = 0
        self._checked = 0
        self._broken = 0
        self._total = 0

    async def run(self) -> int:
        """The exit status: 1 if a user breaks a rule."""
        await self._store.start()
        try:
            self._total = await self._store.count_keys()
            async for portion in self._store.scan(keys.ALL_USERS):
                suspects: list[str] = []
                for first in range(0, len(portion), AT_ONCE):
                    users = portion[first : first + AT_ONCE]
                    faults = await asyncio.gather(*(self._faults(user) for user in users))
                    suspects += [user for user, found in zip(users, faults, strict=True) if found]
                self._scanned += len(portion)
                self._show_progress()
                if suspects:
                    await self._report(suspects)
            print(f"audit: {self._checked} users checked, {self._broken} broken", flush=True)
            return 1 if self._broken else 0
        finally:
            await self._store.close()

    async def _report(self, suspects: list[str]) -> None:
        """Prints those that are still wrong: a user and its keys cannot be read in one step,
        so one that was just moved to a group may only look wrong."""
        await asyncio.sleep(SETTLE_DOWN_SECONDS)
        for user in suspects:
            faults = await self._faults(user, count=False)
            if faults:
                self._broken += 1
                print(printable(f"{user}: {'; '.join(faults)}"), flush=True)

    async def _faults(self, user_key: str, count: bool = True) -> list[str]:
        try:
            found = await self._read_and_check(user_key)
        except Unreadable as error:
            found = [f"unreadable: {error.reason}"] if await self._is_ours(user_key) else None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            found = [f"unreadable: {error!r}"]
        if found is None:
            return []
        self._checked += count
        return found

    async def _read_and_check(self, user_key: str) -> list[str] | None:
        """Its faults; None if it is not to be checked, or has expired since the scan. Raises
        Unreadable, and what Python raises when values are not as ours."""
        user_id = keys.user_of(user_key)
        status, values = await self._store.run_bulk("audit", keys.of_user(user_id))
        if status is Status.UNKNOWN_USER:
            return None
        text, ledger, user_expiry, ledger_expiry, fields, keys_expiry, account, ends, *rest = values
        paid, *calls = rest
        user = orjson.loads(text)
        if self._tenant_id not in (None, user["tenantId"]) or user.get("closed"):
            return None
        faults = list(_faults_of_user(user))
        faults += _faults_of_ledger(user, [Entry(*orjson.loads(entry)) for entry in ledger])
        faults += _faults_of_expiry(user, user_expiry, ledger_expiry)
        faults += faults_of_restricted(user, fields, keys_expiry)
        faults += faults_of_payments(user, account, paid)
        faults += faults_of_timed(user, *calls)
        of_account = faults_of_account(self._store, user_id, user, account, ends)
        faults += [fault async for fault in of_account]
        told = user["apiKeys"].keys() - keys_under_way(account)
        return faults + await self._faults_of_keys(user_id, user, user_expiry, told)

    async def _is_ours(self, user_key: str) -> bool:
        """Of a user that cannot be read: is it to be checked? A hash `user:1` is of another
        program, and whose a user is is not known unless its JSON says so."""
        try:
            user = orjson.loads(await self._store.get_bulk(user_key) or b"{}")
            return self._tenant_id in (None, user["tenantId"])
        except Unreadable:
            return _USER_ID.fullmatch(keys.user_of(user_key)) is not None
        except (ValueError, LookupError, TypeError):
            return True

    async def _faults_of_keys(
        self, user_id: str, user: dict[str, Any], user_expiry: list[int], told: set[str]
    ) -> list[str]:
        """`told`: those of its keys that somebody may know."""
        faults = []
        for number, (api_key, lasts) in enumerate(user["apiKeys"].items(), 1):
            if api_key not in told:
                continue
            # The key itself is a secret.
            if fault := await self._fault_of_key(user_id, api_key, lasts, user_expiry):
                faults.append(f"API key {number} {fault}")
        return faults

    async def _fault_of_key(
        self, user_id: str, api_key: str, lasts: Any, user_expiry: list[int]
    ) -> str | None:
        """`lasts`: True, or its deadline in ms, with which it may expire, too."""
        if lasts is not True and not is_amount(lasts):
            return f"lasts until {lasts!r}"
        key = keys.api_key(api_key)
        owner, expires_at_ms = await asyncio.gather(
            self._store.get_bulk(key), self._store.expires_at_ms(key)
        )
        deadline = [] if lasts is True else [lasts]
        if owner is None and deadline and lasts <= time() * 1000 + EXPIRY_SLACK_MS:
            return None
        if owner is None or owner.decode() != user_id:
            return "is not its own"
        expiry = [] if expires_at_ms is None else [expires_at_ms]
        if _at_least(expiry, user_expiry) or (deadline and _at_least(expiry, deadline)):
            return None
        return "expires before the user"

    def _show_progress(self) -> None:
        if sys.stderr.isatty():
            share = min(self._scanned / max(self._total, 1), 1)
            bar = "#" * int(share * 40)
            print(f"\r[{bar:<40}] {self._scanned} users", end="", file=sys.stderr, flush=True)


def _faults_of_user(user: dict[str, Any]) -> Iterator[str]:
    for name in _COUNTS:
        if not is_amount(user[name]):
            yield f"{name} is {user[name]!r}"
    if not is_amount(user.get("extra", 0)):
        yield f"extra is {user['extra']!r}"
    held = sum(hold[0] for hold in user["holds"].values())
    if user["tokensGranted"] != user["tokensLeft"] + held + user["tokensUsed"]:
        yield (
            f"granted {user['tokensGranted']} is not left {user['tokensLeft']} + held {held} "
            f"+ used {user['tokensUsed']}"
        )


def _faults_of_ledger(user: dict[str, Any], entries: list[Entry]) -> Iterator[str]:
    """Newest first: numbered without a gap, each balance the one before it plus the change."""
    if not entries:
        yield "no ledger"
        return
    if entries[0].number != user["entries"]:
        yield f"newest entry is {entries[0].number}, the user counts {user['entries']}"
    if entries[0].tokens_left != user["tokensLeft"]:
        yield f"newest entry leaves {entries[0].tokens_left}, the user has {user['tokensLeft']}"
    for newer, older in pairwise(entries):
        if newer.number != older.number + 1:
            yield f"entry {newer.number} follows {older.number}"
        if newer.tokens_left != older.tokens_left + newer.tokens:
            yield f"entry {newer.number} does not add up"
    oldest = entries[-1]
    if oldest.number == 1 and oldest.tokens_left != oldest.tokens:
        yield "the first entry does not start from 0"


def _faults_of_expiry(
    user: dict[str, Any], user_expiry: list[int], ledger_expiry: list[int]
) -> Iterator[str]:
    # One of a temporary group is permanent if it was given tokens.
    if user_expiry and not is_temporary(user["group"]):
        yield f"of group {user['group']}, and temporary"
    if not _at_once(user_expiry, ledger_expiry):
        yield "the ledger expires at another time than the user"


def _at_least(one: list[int], other: list[int]) -> bool:
    """One expires with the other or later: a Cluster that moves a key shifts it by a little."""
    return not one or (bool(other) and one[0] >= other[0] - EXPIRY_SLACK_MS)


def _at_once(one: list[int], other: list[int]) -> bool:
    return _at_least(one, other) and _at_least(other, one)
