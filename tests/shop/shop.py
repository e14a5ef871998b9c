"""A shop: a tenant whose users buy at the double of Stripe, on the real server."""

import json
from typing import Any
from uuid import uuid4

import httpx
import stripe

from tests.api import ADMIN, Api, User
from tests.doubles.stripe_api import Account, StripeDouble
from tests.processes import Valkey
from tests.stored import now_ms, put, record

FREE, BASIC, PREMIUM, PACK = 100, 5_000, 20_000, 10_000
SECRET = "whsec_of_the_shop"
BACK = "https://app.example.com/paid"
MONTH = 30 * 86_400
SECONDS = 3
"""That the server waits for Stripe."""


def group(tokens: int) -> dict[str, int]:
    return {"tokens": tokens, "rate_limit": 1_000, "rate_limit_window": 60}


class Shop:
    """With two plans by their lookup keys, and a pack."""

    def __init__(
        self, client: httpx.Client, double: StripeDouble, valkey: Valkey, **auth: Any
    ) -> None:
        self.valkey = valkey
        self.account: Account = double.account(f"sk_test_{uuid4().hex}")
        connected = stripe.StripeClient(
            self.account.api_key,
            base_addresses={"api": double.url},
            http_client=stripe.RequestsClient(),
        )
        # Of any type: the parameters' own types are too narrow for what is put together here.
        self.stripe: Any = connected.v1
        product = self.stripe.products.create({"name": "Any"}).id
        of_product: Any = {"currency": "usd", "product": product}
        self.prices = {
            name: self.stripe.prices.create(of_product | {"unit_amount": cents} | more).id
            for name, cents, more in (
                ("stripe_basic", 1_000, _monthly("stripe_basic")),
                ("stripe_premium", 4_000, _monthly("stripe_premium")),
                ("small", 700, {}),
            )
        }
        self.config = {
            "auth": {
                "stripe": {
                    "api_key": self.account.api_key,
                    "webhook_secret": SECRET,
                    "packs": {"small": {"price": self.prices["small"], "tokens": PACK}},
                },
                **auth,
            },
            "user_groups": {
                "anonymous": group(FREE),
                "google_logged_in": group(FREE),
                "stripe_basic": group(BASIC),
                "stripe_premium": group(PREMIUM),
            },
            "providers": {},
        }
        self.api = Api.new_tenant(client, self.config)

    @property
    def webhook(self) -> str:
        return f"{str(self.api.client.base_url).rstrip('/')}/{self.api.tenant_id}/stripe/webhook"

    def listen(self, **delivery: Any) -> None:
        """The double delivers events from now on."""
        self.account.ask("account", endpoint=self.webhook, secrets=[SECRET], delivery=delivery)

    def set_stripe(self, **members: Any) -> None:
        changed = self.config["auth"]["stripe"] | members
        auth = self.config["auth"] | {"stripe": changed}
        assert self.api.put_config(self.config | {"auth": auth}).status_code == 200

    def buyer(self) -> "ShopUser":
        """One who has signed in, as far as the store has it."""
        user = ShopUser(self, self.api.login())
        client = self.valkey.client
        # An identity is of one user of a tenant's.
        name = f"google:{user.user_id}"
        index = {"userId": user.user_id, "again": False, "at": now_ms(self.valkey)}
        client.set(f"tenant:{self.api.tenant_id}:identity:{name}", json.dumps(index))
        known = {f"identity:{name}": "1 1", f"key:{user.api_key}": str(now_ms(self.valkey))}
        client.hset(f"{{user:{user.user_id}}}:account", mapping=known)  # type: ignore[arg-type]
        for key in (f"user:{user.user_id}", f"{{user:{user.user_id}}}:ledger"):
            client.persist(key)
        client.persist(f"apiKey:{user.api_key}")
        put(self.valkey, user, record(self.valkey, user) | {"group": "google_logged_in"})
        return user

    def finish(self) -> None:
        """All events are taken."""
        statuses = self.account.ask("finish")
        assert all(200 in of_event for of_event in statuses.values()), statuses

    def asked(self, method: str, path: str) -> list[Any]:
        """What the double's API was asked by the server."""
        return [
            each
            for each in self.account.ask("asked")["asked"]
            if (each["method"], each["path"]) == (method, path)
            and "vibe-server" in each["headers"]["x-stripe-client-user-agent"]
        ]


def _monthly(lookup_key: str) -> dict[str, Any]:
    return {"recurring": {"interval": "month"}, "lookup_key": lookup_key}


class ShopUser(User):
    """A buyer of the shop's."""

    def __init__(self, shop: Shop, user: User) -> None:
        super().__init__(user.api, {"apiKey": user.api_key, "userId": user.user_id})
        self.shop = shop

    def checkout(self, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        sent = {"returnUrl": BACK, **body}
        return self.api.post("/billing/checkout", sent, {**self.headers, **(headers or {})})

    def open(self, **body: Any) -> str:
        """The session's ID."""
        reply = self.checkout(**body)
        assert reply.status_code == 201, reply.text
        return str(reply.json()["url"].rsplit("/", 1)[1])

    def buy(self, **body: Any) -> Any:
        """Pays; the session, once its events are taken."""
        session_id = self.open(**body)
        self.shop.account.ask("pay", id=session_id)
        self.shop.finish()
        return self.shop.stripe.checkout.sessions.retrieve(session_id)

    def sync(self) -> httpx.Response:
        return self.api.post("/billing/sync", None, self.headers)

    def synced(self) -> dict[str, Any]:
        """What there is after asking Stripe, however short ago that was."""
        self.shop.valkey.client.hdel(f"{{user:{self.user_id}}}:account", "syncedAt")
        reply = self.sync()
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def billing(self) -> dict[str, Any]:
        reply = self.api.get("/billing", self.headers)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    @property
    def customer_id(self) -> str:
        found = self.shop.valkey.client.hget(f"{{user:{self.user_id}}}:account", "stripeCustomer")
        return str(found or "")

    def state(self) -> tuple[str, int]:
        balance = self.balance()
        return balance["group"], balance["tokensLeft"]

    def ops(self) -> list[tuple[str, int]]:
        """The changes that were bought, the oldest first."""
        bought = ("refill", "upgrade", "pack", "refund", "lapse")
        return [(op, tokens) for op, tokens, _ in self.changes() if op in bought]

    def charge_of(self, session: Any) -> Any:
        (charge,) = self.shop.stripe.charges.list({"customer": session.customer}).data[:1]
        return charge


def admin_state(user: ShopUser) -> Any:
    return user.api.get(f"/admin/users/{user.user_id}", ADMIN).json()
