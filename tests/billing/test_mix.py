"""Random mixes of all that changes a buyer's balance, against plain Python, on the real scripts."""

import random
from contextlib import suppress
from typing import Any

import pytest

from server.billing.payments import Kind
from server.metering.errors import PaymentRequired
from tests.billing.buyers import PLANS, Buyer
from tests.billing.model import Purses

SEEDS = 8
MOVES = 60


class Mix:
    """A buyer, the model of it, and chance."""

    def __init__(self, buyer: Buyer, seed: int) -> None:
        self.buyer = buyer
        self.purses = Purses()
        self.chance = random.Random(seed)
        self.period = 0
        self.plan = ""
        """That runs at Stripe: each payment is told with it."""
        self.done: list[Any] = []
        """Moves that Stripe may tell of again."""

    async def run(self) -> None:
        moves = [
            *(self.spend, self.spend, self.hold, self.hold, self.settle, self.settle),
            *(self.begin, self.end, self.lapse, self.pack, self.renew, self.renew),
            *(self.upgrade, self.give_back, self.again),
        ]
        for _ in range(MOVES):
            move = self.chance.choice(moves)
            await move()
            self.check(move.__name__)

    def check(self, move: str) -> None:
        _, total, extra = self.buyer.state()
        expected = self.purses.allowance + self.purses.extra, self.purses.extra
        assert (total, extra) == expected, move
        assert self.buyer.record()["tokensUsed"] == self.purses.used <= self.purses.most
        assert total + self.purses.used <= self.purses.most, "more than was paid for"
        self.buyer.check()

    def amount(self) -> int:
        return self.chance.choice([1, 50, 700, 6_000, max(self.purses.left, 1)])

    async def spend(self) -> None:
        tokens = self.amount()
        with suppress(PaymentRequired):
            await self.buyer.spend(tokens)
            self.purses.spend(tokens)

    async def hold(self) -> None:
        wanted = self.amount()
        with suppress(PaymentRequired):
            hold_id = await self.buyer.hold(wanted)
            self.purses.holds[hold_id] = min(wanted, self.purses.left)

    async def settle(self) -> None:
        if self.purses.holds:
            hold_id, cost = self.chance.choice([*self.purses.holds]), self.amount()
            assert await self.buyer.settle(hold_id, cost) == self.purses.settle(hold_id, cost)

    async def begin(self) -> None:
        """Or go to another plan, without a payment."""
        self.plan = self.purses.plan = self.chance.choice([*PLANS])
        await self.buyer.set_plan(self.plan)

    async def end(self) -> None:
        await self.buyer.set_plan()
        self.plan = ""
        self.purses.end_plan()

    async def lapse(self) -> None:
        if self.purses.plan:
            self.buyer.age_plan()
            self.buyer.user.balance()
            self.purses.end_plan()

    async def pack(self) -> None:
        name, tokens = f"session:{len(self.purses.payments)}", self.amount()

        async def buy() -> None:
            await self.buyer.pack(tokens, name)
            self.purses.pack(name, tokens)

        await self.tell(buy)

    async def renew(self) -> None:
        """Of a period in a row, seldom of one that is over."""
        self.period += self.chance.choice([1, 1, 1, 0, -1])
        period = self.period
        kind: Kind = self.chance.choice(["cycle", "cycle", "trial"])
        name, plan = f"invoice:{len(self.purses.payments)}", self.chance.choice([*PLANS])

        async def refill() -> None:
            await self.buyer.refill(plan, period, name, kind)
            self.purses.plan = self.plan
            self.purses.refill(name, plan, period, kind == "trial")

        await self.tell(refill)

    async def upgrade(self) -> None:
        period, part = self.period, self.chance.choice([0.1, 0.5, 1.0])
        name, plan = f"invoice:{len(self.purses.payments)}", self.chance.choice([*PLANS])

        async def pay() -> None:
            await self.buyer.upgrade(plan, part, period, name)
            self.purses.plan = self.plan
            self.purses.upgrade(name, plan, period, part)

        await self.tell(pay)

    async def give_back(self) -> None:
        """A refund, a dispute, or a dispute that is won."""
        name = self.chance.choice([*self.purses.payments, "session:unknown"])
        part = self.chance.choice([0.0, 0.25, 0.5, 1.0])
        taken = await self.buyer.take_back(name, part)
        assert taken == self.purses.take_back(name, part)

    async def tell(self, move: Any) -> None:
        self.done.append(move)
        await move()

    async def again(self) -> None:
        if self.done:
            await self.chance.choice(self.done)()


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_no_mix_yields_more_than_was_paid_for(buyer: Buyer, seed: int) -> None:
    await Mix(buyer, seed).run()
