"""What a buyer must have after each move, in plain Python: two purses, the allowance spent first.

`most` is all that the buyer may ever have had to spend: what is free, each pack, and of each period
that was paid for the tokens of the largest plan in it.
"""

from dataclasses import dataclass, field
from math import floor

from tests.billing.buyers import FREE, PLANS


@dataclass
class Paid:
    """A payment: what it gave, what of that is to be taken back, and was."""

    tokens: int
    period: int | None
    due: int = 0
    taken: int = 0


@dataclass
class Purses:
    allowance: int = FREE
    extra: int = 0
    used: int = 0
    plan: str = ""
    free_left: int | None = None
    period: int = -1_000
    largest: int = 0
    """Tokens of the largest plan of the period that was paid for last."""
    trialed: bool = False
    holds: dict[str, int] = field(default_factory=dict)
    payments: dict[str, Paid] = field(default_factory=dict)
    packs: int = 0
    periods: dict[int, int] = field(default_factory=dict)
    """The largest plan that was paid for in each."""

    @property
    def held(self) -> int:
        return sum(self.holds.values())

    @property
    def left(self) -> int:
        return self.allowance + self.extra - self.held

    @property
    def most(self) -> int:
        return FREE + self.packs + sum(self.periods.values())

    def spend(self, tokens: int) -> None:
        of_allowance = min(self.allowance, tokens)
        self.allowance -= of_allowance
        self.extra -= tokens - of_allowance
        self.used += tokens

    def settle(self, hold_id: str, cost: int) -> int:
        held = self.holds.pop(hold_id, 0)
        taken = min(cost, held + max(self.left - held, 0))
        self.spend(taken)
        return taken

    def _set_allowance(self, tokens: int) -> None:
        # What is held stays with the calls under way, also where it is more.
        self.allowance = max(tokens, self.held - self.extra)

    def end_plan(self) -> None:
        if self.plan and self.free_left is not None:
            self._set_allowance(self.free_left)
        self.plan, self.free_left = "", None

    def pack(self, name: str, tokens: int) -> None:
        if name not in self.payments:
            self.payments[name] = Paid(tokens, None)
            self.extra += tokens
            self.packs += tokens

    def refill(self, name: str, plan: str, period: int, is_trial: bool) -> None:
        if name in self.payments:
            return
        given = 0
        if period > self.period:
            self.period, self.largest = period, PLANS[plan]
            if self.plan and not (is_trial and self.trialed):
                given = PLANS[plan]
                self.free_left = self.allowance if self.free_left is None else self.free_left
                self._set_allowance(given)
        self.trialed |= is_trial
        self.payments[name] = Paid(given, period)
        self._note(period, given, plan)

    def upgrade(self, name: str, plan: str, period: int, part: float) -> None:
        if name in self.payments:
            return
        given = 0
        if period == self.period:
            more = floor((PLANS[plan] - self.largest) * part)
            self.largest = max(self.largest, PLANS[plan])
            if self.plan and more > 0:
                given = more
                if self.free_left is None:
                    self.free_left, self.allowance = self.allowance, 0
                    self._set_allowance(given)
                else:
                    self.allowance += given
        self.payments[name] = Paid(given, period)
        self._note(period, given, plan)

    def _note(self, period: int, given: int, plan: str) -> None:
        if given:
            self.periods[period] = max(self.periods.get(period, 0), PLANS[plan])

    def take_back(self, name: str, part: float) -> int:
        if name not in self.payments:
            return 0
        paid = self.payments[name]
        due = floor(paid.tokens * part)
        is_pack = paid.period is None
        of_plan = bool(self.plan) and self.free_left is not None and paid.period == self.period
        take = min(due - paid.taken, 0)
        if due > paid.due and (is_pack or of_plan):
            self.holds.clear()
            take = min(due - paid.due, self.left if is_pack else self.allowance)
        paid.due, paid.taken = due, paid.taken + take
        if not (is_pack or of_plan):
            return 0
        if is_pack:
            of_extra = min(take, self.extra)
            self.extra -= of_extra
            self.allowance -= take - of_extra
        else:
            self.allowance -= take
        return take
