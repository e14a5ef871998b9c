"""What users were told that they spent, and whether their ledgers say the same."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gevent.pool  # type: ignore[import-untyped]
import httpx

AT_ONCE = 20
PAGE = 200
GIVEN = ("grant", "group")
"""Ledger operations that spend nothing."""


@dataclass
class Account:
    """A user of the tenant; `told` adds up the costs that replies named."""

    user_id: str
    headers: dict[str, str]
    told: int = 0
    unanswered: int = 0
    """Calls whose outcome is not known, and so not the sum; each is a failure itself."""


@dataclass
class Accounts:
    """All the users that have logged in, and their tenant."""

    base: str = ""
    """The URL of the tenant."""
    made: list[Account] = field(default_factory=list)

    def faults(self) -> list[str]:
        """One line for each user whose sum is wrong."""
        pool = gevent.pool.Pool(AT_ONCE)
        limits = httpx.Limits(max_connections=AT_ONCE)
        with httpx.Client(timeout=30, limits=limits) as client:
            known = [account for account in self.made if not account.unanswered]
            found = pool.map(lambda account: self._fault(client, account), known)
        return [fault for fault in found if fault]

    def _fault(self, client: httpx.Client, account: Account) -> str:
        try:
            balance = self._get(client, account, "/balance")
            entries = list(self._ledger(client, account))
        except (httpx.HTTPError, KeyError, ValueError) as error:
            return f"user {account.user_id}: {error!r}"
        used, held, told = balance["tokensUsed"], balance["tokensHeld"], account.told
        if (used, held) != (told, 0):
            return f"user {account.user_id} was told {told}, has used {used} and holds {held}"
        spent = -sum(entry["tokens"] for entry in entries if entry["op"] not in GIVEN)
        # A server keeps so many entries of each user, and forgets those before them.
        if entries[-1]["number"] == 1 and spent != told:
            return f"user {account.user_id} was told {told}, and the ledger says {spent}"
        return ""

    def _ledger(self, client: httpx.Client, account: Account) -> Iterator[dict[str, Any]]:
        """Newest first."""
        path = f"/ledger?limit={PAGE}"
        page = self._get(client, account, path)["entries"]
        yield from page
        while page and page[-1]["number"] > 1:
            page = self._get(client, account, f"{path}&before={page[-1]['number']}")["entries"]
            yield from page

    def _get(self, client: httpx.Client, account: Account, path: str) -> Any:
        return client.get(self.base + path, headers=account.headers).raise_for_status().json()
