"""Meter: what a user spends. Each call is one Lua script, one atomic step in Redis."""

import asyncio
import re
from collections.abc import Sequence
from secrets import token_hex
from typing import Any, Literal

import orjson

from server.errors import InvalidApiKey, KeyReused, TooManyRequests, UnknownHold
from server.metering.block import Taken
from server.metering.errors import PaymentRequired
from server.metering.renewal import Renewal
from server.metering.results import (
    TOKENS_LEFT,
    ChargeResult,
    Checked,
    Held,
    Rate,
    SettleResult,
    TimedCall,
    rate_of,
)
from server.metering.rules import NO_RULES, REFUSED_BY_RULES, Rules
from server.store import keys
from server.store.status import Status
from server.store.store import Store, read
from server.who import Ref, Who

HOLD_ID = re.compile(r"[0-9a-f]{32}")

Kind = Literal["api", "own"]
"""Whose a hold is: `api`, a user's, made and settled over HTTP; `own`, the gateway's, for a call
to a provider. Neither can settle the other's."""
Operation = Literal["charge", "hold"]
# To look a member up in its class costs ten times as much.
_REPLAYED = Status.REPLAYED
_DONE = Status.OK, Status.REPLAYED


class Meter:
    """Charges and holds of the users in `store`.

    Every call raises Unavailable when Redis does not answer: then its change may have been made
    or not, and only a repetition with the same Idempotency-Key cannot make it twice. It raises
    Unreadable when the user's record is broken: then nothing was done.
    """

    def __init__(self, store: Store, ledger_size: int, renewal: Renewal) -> None:
        """`ledger_size`: how many entries of each user's ledger are kept."""
        self._store = store
        self._ledger_size = ledger_size
        self._renewal = renewal

    async def charge(
        self,
        who: Who,
        tokens: int,
        ref: Ref,
        idempotency_key: str | None = None,
    ) -> ChargeResult:
        """Takes `tokens` (1 to 10^13) from the balance.

        Raises InvalidApiKey, KeyReused, TooManyRequests, PaymentRequired: nothing was taken.
        """
        reply = await self._run(
            "charge",
            keys.of_metered(who.user_id),
            who.tenant_id,
            who.api_key,
            tokens,
            *keys.once_fields("charge", idempotency_key),
            self._ledger_size,
            orjson.dumps(ref),
        )
        status, values = read(reply)
        tokens_left, rate = metered(status, values, tokens)
        if len(values) > 6:
            self._renewal.consider(who, values[6])
        return ChargeResult(tokens_left, rate, status is _REPLAYED)

    async def hold(
        self,
        who: Who,
        wanted: int,
        minimum: int,
        ttl_ms: int,
        kind: Kind,
        ref: Ref,
        idempotency_key: str | None = None,
        hold_id: str | None = None,
        rules: Rules = NO_RULES,
    ) -> Held:
        """Sets aside `wanted` tokens, or what is left of them but at least `minimum`.

        They go back after `ttl_ms`. Raises as `charge`; TooManyRequests also for a 51st hold, and
        by the `rules` NotAllowed and TooManyCalls.
        """
        reply = await self._run(
            "hold",
            keys.of_holding(who.user_id),
            who.tenant_id,
            who.credential,
            wanted,
            minimum,
            ttl_ms,
            kind,
            hold_id or new_hold_id(),
            *keys.once_fields("hold", idempotency_key),
            self._ledger_size,
            orjson.dumps(ref),
            rules.verdicts,
            int(rules.is_rated),
        )
        status, values = read(reply)
        if status in REFUSED_BY_RULES:
            raise rules.refusal(status, values)
        held = held_of(status, values, minimum)
        if len(values) > 11:
            self._renewal.consider(who, values[11])
        return held

    async def check(
        self,
        who: Who,
        operation: Operation,
        least: int,
        idempotency_key: str | None = None,
        fingerprint: str = "",
        is_rated: bool = True,
        admits: bool = False,
    ) -> Checked:
        """What a charge or a hold of at least `least` tokens would be answered now; nothing is
        taken, and nothing counted unless it `admits`. `fingerprint`: as its script keeps it for the
        Idempotency-Key; `is_rated`: as Rules have it.

        Raises as `charge` or `hold`.
        """
        status, values = await self._store.run(
            "check",
            keys.of_holding(who.user_id),
            who.tenant_id,
            who.credential,
            operation,
            least,
            *keys.once_fields(operation, idempotency_key),
            fingerprint,
            self._ledger_size,
            int(is_rated),
            int(admits),
        )
        return Checked(*metered(status, values, least), status is _REPLAYED)

    async def admit(self, who: Who, least: int = 0) -> Rate:
        """Counts what costs no tokens as a request of the user's rate limit, if it has `least`
        tokens. Raises as `charge`."""
        return (await self.check(who, "charge", least, admits=True)).rate

    def _run(
        self, name: str, keys: Sequence[str], *args: str | int | bytes
    ) -> asyncio.Future[list[Any]]:
        """The script of a charge, a hold or a settle, for `read`: Store.run would be one more
        coroutine."""
        return self._store.submit(name, keys, *args)

    async def extend(self, who: Who, hold_id: str, ttl_ms: int) -> None:
        """Moves the deadline of a gateway's hold to `ttl_ms` from now. Raises UnknownHold."""
        status, _ = await self._store.run(
            "extend",
            (keys.user(who.user_id), keys.ledger(who.user_id)),
            who.tenant_id,
            hold_id,
            ttl_ms,
            self._ledger_size,
        )
        if status is Status.UNKNOWN_HOLD:
            raise UnknownHold

    async def settle(
        self,
        who: Who,
        hold_id: str,
        tokens: int,
        kind: Kind,
        ref: Ref,
        again: bool = False,
    ) -> SettleResult:
        """Replaces a hold by its cost, 0 to 10^13. A hold that was settled before is not settled
        again: the answer is that of its first settle.

        The gateway (kind `own`) needs no API key, which may be revoked by then, and says whether it
        does it `again`, after a try that Redis may have got. Its settle charges even when the hold
        has gone back at its deadline. Raises UnknownHold; InvalidApiKey if the user does not have
        the key or, for the gateway too, has expired.
        """
        reply = await self._run(
            "settle",
            keys.of_hold(who.user_id, hold_id),
            who.tenant_id,
            who.api_key if kind == "api" else who.key_id,
            hold_id,
            tokens,
            kind,
            int(again),
            self._ledger_size,
            orjson.dumps(ref),
        )
        status, values = read(reply)
        if status in _DONE:
            taken, tokens_left = values
            return SettleResult(taken, tokens_left, status is _REPLAYED)
        raise InvalidApiKey if status is Status.UNKNOWN_KEY else UnknownHold

    async def settle_timed(
        self, who: Who, call: TimedCall, tokens: int, ref: Ref, told: str
    ) -> SettleResult | None:
        """As `settle` of the gateway, of a call that is billed by time and stands among its user's;
        None if it was settled before. What `told` says of it is kept for a day."""
        user_id = who.user_id
        reply = await self._run(
            "settle",
            (*keys.of_hold(user_id, call.hold_id), *keys.of_timed_end(user_id, call.call_id)),
            who.tenant_id,
            who.key_id,
            call.hold_id,
            tokens,
            "own",
            0,
            self._ledger_size,
            orjson.dumps(ref),
            call.call_id,
            told,
        )
        status, values = read(reply)
        if status is Status.UNKNOWN_KEY:
            raise InvalidApiKey
        if status is Status.ABSENT:
            return None
        taken, tokens_left = values
        return SettleResult(taken, tokens_left, False)

    def let_go(self) -> Taken | None:
        """The hold of a call outlasts this request: what it has of its day's limit, if anything."""
        return None


def new_hold_id() -> str:
    """128 random bits, so that nobody can guess another's."""
    return token_hex(16)


def held_of(status: Status, values: list[Any], minimum: int) -> Held:
    """As `metered`, of a hold."""
    tokens_left, rate = metered(status, values, minimum)
    made_id, tokens, deadline_ms, *rest = values[6:]
    lapsed, policy = rest[:2] or (0, 0)
    replayed = status is _REPLAYED
    return Held(made_id.decode(), tokens, tokens_left, deadline_ms, rate, replayed, lapsed, policy)


def metered(status: Status, values: list[Any], needed: int) -> tuple[int, Rate]:
    """The values of a script that admits, for at least `needed` tokens; raises for each status that
    is a refusal."""
    if status in _DONE:
        return values[0], rate_of(values)
    if status is Status.UNKNOWN_KEY:
        raise InvalidApiKey
    tokens_left, headers = values[0], rate_of(values).headers_of_refusal(values[0])
    if status is Status.KEY_REUSED:
        raise KeyReused(headers={TOKENS_LEFT: str(tokens_left)})
    if status is Status.NO_TOKENS:
        raise PaymentRequired(needed, tokens_left, values[6], headers)
    raise TooManyRequests(values[5], headers)  # in the window, or at the same time
