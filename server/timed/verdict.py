"""What becomes of a call that is billed by time, as its provider tells of it."""

from dataclasses import replace
from typing import Literal, NamedTuple

from server.timed.provider import Bill, State
from server.timed.record import Record

Outcome = Literal["billed", "unjoined", "free", "estimated"]

_BILLING_MS = 10 * 60_000
"""For which the provider may leave open what it bills for a call that is over."""
_OVERDUE_MS = 15 * 60_000
"""By which a call may outlast what it was allowed, as the provider tells it."""
_GIVE_UP_MS = 24 * 3_600_000
"""For which a provider may not answer, after a call must be over."""

_FIRST_PAUSE, _USUAL_PAUSE, _LONGEST_PAUSE = 10.0, 60.0, 900.0


class Settlement(NamedTuple):
    bill: Bill
    outcome: Outcome


def settlement(record: Record, state: State | None, now_ms: int) -> Settlement | None:
    """What to charge, if that is known, or has to be guessed; None while it may still become known.
    `state` is None where the provider knows no such call."""
    if state is None:
        if now_ms < record.latest_ms:
            return None
        return Settlement(Bill(record.seconds), "estimated")
    if state.bill is not None:
        return Settlement(state.bill, _outcome(state.used, state.bill))
    is_overdue = state.is_last or now_ms > record.latest_ms + _OVERDUE_MS
    if state.status == "created":
        return Settlement(Bill(0), "unjoined") if is_overdue else None
    if state.ended_ms is None:
        used = min(state.used, record.seconds)
        return Settlement(Bill(used), "estimated") if is_overdue else None
    if state.is_last or now_ms > state.ended_ms + _BILLING_MS:
        return Settlement(Bill(state.used), "estimated")
    return None


def of_silence(record: Record, now_ms: int) -> Settlement | None:
    """The same where the provider does not answer, or nobody can ask it any more."""
    if now_ms < record.latest_ms + _GIVE_UP_MS:
        return None
    return Settlement(Bill(record.seconds), "estimated")


def seen(record: Record, state: State, now_ms: int) -> Record:
    """The record after this look."""
    ends_ms = record.ends_ms
    if state.ended_ms is not None:
        ends_ms = state.ended_ms
    elif state.status == "joined" and not record.is_hung_up:
        ends_ms = now_ms + max(record.seconds - state.used, 0) * 1000
    return replace(record, status=state.status, used=state.used, ends_ms=ends_ms)


def pause(record: Record, now_ms: int) -> float:
    """Seconds until the next look: a minute while it lasts, and at its end; then ever longer."""
    left = (record.ends_ms - now_ms) / 1000
    if left > 0:
        return max(min(left, _USUAL_PAUSE), 1.0)
    return min(max(-left, _FIRST_PAUSE), _LONGEST_PAUSE)


def hold_seconds(record: Record, now_ms: int, next_look: float) -> float:
    """For which the hold must stay, from now: so long that nobody who looks comes too late."""
    return max((record.latest_ms - now_ms) / 1000, 0) + next_look + _LONGEST_PAUSE


def _outcome(used: int, bill: Bill) -> Outcome:
    if bill != Bill(0):
        return "billed"
    return "free" if used else "unjoined"
