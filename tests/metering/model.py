"""The contract's metering in plain Python: what each request must be answered."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.api import ADMIN, User
from tests.processes import Valkey

LARGEST = 10**13

Reply = tuple[int, dict[str, Any]]
"""A status and a body, without the `details` of a 422."""

UNKNOWN_KEY: Reply = (401, {"error": "Invalid API key"})
KEY_REUSED: Reply = (422, {"error": "Idempotency-Key reused with another request"})
RATE_LIMITED: Reply = (429, {"error": "Too Many Requests"})

Group = dict[str, int]


@dataclass
class Account:
    """What the contract says of one user."""

    group: str
    tokens_left: int
    limit: int
    window: int
    tokens_used: int = 0
    admitted: int = 0
    """Requests that count against the limit."""
    permanent: bool = False
    stays: bool = False
    """It has spent, or has been permanent: it lives as long as its key."""
    revoked: bool = False
    holds: dict[str, int] = field(default_factory=dict)
    settled: dict[str, Reply] = field(default_factory=dict)
    ledger: Counter[tuple[str, int]] = field(default_factory=Counter)
    kept: dict[tuple[str, str], tuple[object, Reply]] = field(default_factory=dict)
    tokens_granted: int = 0
    of_group: int = 0
    """Of the tokens left and held those that the group gave, which are spent first."""
    extra: int = 0
    """All others."""

    def __post_init__(self) -> None:
        self.tokens_granted = self.of_group = self.tokens_left
        self._append("grant", self.tokens_left)

    @property
    def held(self) -> int:
        return sum(self.holds.values())

    def _append(self, op: str, tokens: int) -> None:
        self.ledger[op, tokens] += 1

    def _use(self, tokens: int) -> None:
        self.tokens_used += tokens
        of_group = min(tokens, self.of_group)
        self.of_group -= of_group
        self.extra -= tokens - of_group

    def recall(self, op: str, once: str | None, request: object) -> Reply | None:
        """The reply that an Idempotency-Key decides, if it was used before."""
        kept = self.kept.get((op, once)) if once else None
        if kept is None:
            return None
        return kept[1] if kept[0] == request else KEY_REUSED

    def remember(self, op: str, once: str | None, request: object, reply: Reply) -> Reply:
        if once:
            self.kept[op, once] = (request, reply)
        return reply

    def refuse(self, least: int) -> Reply | None:
        """The answer of a metered request that needs `least` tokens, unless it is admitted."""
        if self.admitted >= self.limit:
            return RATE_LIMITED
        if self.tokens_left < least:
            held = {"tokensHeld": self.held} if self.held else {}
            return 402, {"error": "Payment Required", "tokensLeft": self.tokens_left, **held}
        self.admitted += 1
        self.stays = True
        return None

    def charge(self, tokens: int, once: str | None) -> Reply:
        if self.revoked:
            return UNKNOWN_KEY
        if known := self.recall("charge", once, tokens) or self.refuse(tokens):
            return known
        self.tokens_left -= tokens
        self._use(tokens)
        self._append("charge", -tokens)
        return self.remember("charge", once, tokens, (200, {"tokensLeft": self.tokens_left}))

    def hold(self, tokens: int, minimum: int, once: str | None) -> Reply:
        """The reply to a new hold still lacks what only the server knows: see `note_hold`."""
        if self.revoked:
            return UNKNOWN_KEY
        request = (tokens, minimum)
        if known := self.recall("hold", once, request) or self.refuse(minimum):
            return known
        tokens = min(tokens, self.tokens_left)
        self.tokens_left -= tokens
        self._append("hold", -tokens)
        reply = 201, {"tokens": tokens, "tokensLeft": self.tokens_left}
        return self.remember("hold", once, request, reply)

    def note_hold(self, expected: Reply, hold_id: str, expires_at: str) -> None:
        """Completes the reply to a new hold, in place, since it may be kept."""
        self.holds[hold_id] = expected[1]["tokens"]
        expected[1].update(holdId=hold_id, expiresAt=expires_at)

    def settle(self, hold_id: str, tokens: int) -> Reply:
        if self.revoked:
            return UNKNOWN_KEY
        if hold_id in self.settled:
            return self.settled[hold_id]
        if hold_id not in self.holds:
            return 404, {"error": "Unknown hold"}
        held = self.holds.pop(hold_id)
        taken = min(tokens, held + self.tokens_left)
        self.tokens_left += held - taken
        self._use(taken)
        self._append("settle" if tokens else "release", held - taken)
        if tokens > taken:
            self._append("overrun", 0)
        self.settled[hold_id] = 200, {"tokens": taken, "tokensLeft": self.tokens_left}
        return self.settled[hold_id]

    def lose_holds(self) -> None:
        for tokens in self.holds.values():
            self.tokens_left += tokens
            self._append("expire", tokens)
        self.holds.clear()

    def grant_tokens(self, tokens: int, once: str | None) -> Reply:
        if known := self.recall("grant", once, tokens):
            return known
        if self.tokens_granted + tokens <= LARGEST:
            self.extra += tokens
            self.permanent = self.stays = True
        return self._grant("grant", self.tokens_left + tokens, once, tokens)

    def grant_group(self, name: str, group: Group, once: str | None) -> Reply:
        if known := self.recall("grant", once, name):
            return known
        tokens_left = max(group["tokens"] + self.extra - self.held, 0)
        change = tokens_left - self.tokens_left
        if max(tokens_left, self.tokens_granted + change) <= LARGEST:
            self.group, self.permanent = name, name != "anonymous" or self.extra > 0
            self.stays |= self.permanent
            self.limit, self.window = group["rate_limit"], group["rate_limit_window"]
            self.of_group = tokens_left + self.held - self.extra
        return self._grant("group", tokens_left, once, name)

    def _grant(self, op: str, tokens_left: int, once: str | None, request: object) -> Reply:
        change = tokens_left - self.tokens_left
        if max(tokens_left, self.tokens_granted + change) > LARGEST:
            return 422, {"error": "Invalid grant"}
        self.tokens_left = tokens_left
        self.tokens_granted += change
        self._append(op, change)
        reply = 200, {"tokensLeft": tokens_left, "group": self.group}
        return self.remember("grant", once, request, reply)


def check(account: Account, user: User, valkey: Valkey) -> None:
    """What the user and the administrator see, and what Redis has, is what the model says."""
    own = user.api.get("/balance", user.headers)
    assert own.status_code == (401 if account.revoked else 200)
    if account.revoked:
        own = user.api.get(f"/admin/users/{user.user_id}", ADMIN)
    seen = own.json()
    assert (seen.pop("expiresAt") is None) == account.permanent
    assert seen.pop("createdAt")
    assert seen == {
        "userId": user.user_id,
        "group": account.group,
        "tokensLeft": account.tokens_left,
        "tokensExtra": account.extra,
        "plan": None,
        "tokensHeld": account.held,
        "tokensUsed": account.tokens_used,
        "rateLimit": account.limit,
        "rateLimitWindow": account.window,
        "rateRemaining": max(account.limit - account.admitted, 0),
    }
    if not account.revoked:
        _check_ledger(account, user)
    _check_stored(account, user, valkey)


def _check_ledger(account: Account, user: User) -> None:
    entries = user.api.get("/ledger?limit=200", user.headers).json()["entries"][::-1]
    assert Counter((entry["op"], entry["tokens"]) for entry in entries) == account.ledger
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
    tokens_left = 0
    for entry in entries:
        tokens_left += entry["tokens"]
        assert entry["tokensLeft"] == tokens_left
    assert tokens_left == account.tokens_left


def _check_stored(account: Account, user: User, valkey: Valkey) -> None:
    client, key = valkey.client, f"user:{user.user_id}"
    stored: dict[str, Any] = json.loads(str(client.get(key)))
    held = sum(hold[0] for hold in stored["holds"].values())
    amounts = [stored[name] for name in ("tokensLeft", "tokensUsed", "tokensGranted")]
    assert {type(amount) for amount in amounts} == {int}
    assert amounts == [account.tokens_left, account.tokens_used, account.tokens_granted]
    assert stored["tokensGranted"] == stored["tokensLeft"] + held + stored["tokensUsed"]
    assert stored["tokensLeft"] >= 0
    if not account.revoked:
        user_expiry = client.pexpiretime(key)
        key_expiry = client.pexpiretime(f"apiKey:{user.api_key}")
        assert key_expiry == user_expiry if account.stays else key_expiry > user_expiry
        assert client.pexpiretime(f"{{{key}}}:ledger") == user_expiry
