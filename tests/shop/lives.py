"""Random lives of buyers: the same seed lives the same one, to the second."""

import random
import time
from typing import Any

from tests.shop.shop import BACK, PACK, Shop, ShopUser

EPOCH = int(time.time())


class Life:
    """What one buyer does, by chance; `settle` waits until its events are taken."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop = shop
        # An upgrade's part is of seconds: two lives must be lived at the same time.
        shop.account.ask("account", stands_at=EPOCH)
        self.buyer: ShopUser = shop.buyer()
        self.chance = random.Random(seed)
        self.buyer.open(pack="small")  # which makes it a customer
        self.subscription = ""
        self.plan = ""

    def live(self) -> None:
        for _ in range(8):
            self.chance.choice([self.subscribe, self.pack, self.change, self.wait, self.refund])()
            self.settle()

    def settle(self) -> None:
        pass

    def subscribe(self) -> None:
        if not self.subscription:
            self.plan = self.chance.choice(["stripe_basic", "stripe_premium"])
            session = self._pay("subscription", self.plan, {})
            self.subscription = session.subscription

    def pack(self) -> None:
        metadata = {
            "vibe_tenant": self.shop.api.tenant_id,
            "vibe_user": self.buyer.user_id,
            "vibe_tokens": str(PACK),
        }
        self._pay("payment", "small", metadata)

    def _pay(self, mode: str, price: str, metadata: dict[str, str]) -> Any:
        sessions = self.shop.stripe.checkout.sessions
        session = sessions.create(
            {
                "mode": mode,
                "customer": self.buyer.customer_id,
                "line_items": [{"price": self.shop.prices[price], "quantity": 1}],
                "metadata": metadata,
                "success_url": BACK,
            }
        )
        self.shop.account.ask("pay", id=session.id)
        return sessions.retrieve(session.id)

    def change(self) -> None:
        """To the other plan, or to none."""
        if self.subscription and self.chance.random() < 0.4:
            self.shop.stripe.subscriptions.cancel(self.subscription)
            self.subscription = ""
        elif self.subscription:
            self.plan = "stripe_basic" if self.plan == "stripe_premium" else "stripe_premium"
            found = self.shop.stripe.subscriptions.retrieve(self.subscription)
            item = {"id": found["items"].data[0].id, "price": self.shop.prices[self.plan]}
            changed = {"items": [item], "proration_behavior": "always_invoice"}
            self.shop.stripe.subscriptions.update(self.subscription, changed)

    def wait(self) -> None:
        self.shop.account.ask("clock", days=self.chance.choice([5, 15, 31]))

    def refund(self) -> None:
        of_customer = {"customer": self.buyer.customer_id, "limit": 100}
        charges = self.shop.stripe.charges.list(of_customer).data
        left = [each for each in charges if not each.refunded]
        if left:
            self.shop.stripe.refunds.create({"charge": self.chance.choice(left[::-1]).id})

    def end(self) -> tuple[str, int, int]:
        balance = self.buyer.balance()
        return balance["group"], balance["tokensLeft"], balance["tokensExtra"]

    def paid(self) -> list[str]:
        """What is kept of the payments, less the chance in their names."""
        kept = self.shop.valkey.client.hkeys(f"{{user:{self.buyer.user_id}}}:payments")
        return sorted(str(name).partition("_")[0] for name in kept)


class Undisturbed(Life):
    def settle(self) -> None:
        self.shop.finish()
