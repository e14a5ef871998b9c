"""An app whose users sign in: a tenant with client IDs of its own, at the double."""

import random
from ipaddress import IPv4Address
from typing import Any
from uuid import uuid4

import httpx

from tests.api import Api, config
from tests.doubles.sign_in import Operator, SignInDouble
from tests.processes import Valkey

SECONDS = 3.0
"""For which the server waits for login providers; for each question a third of it."""
PER_MINUTE = 3
GROUP = {"google_logged_in": {"tokens": 1_000, "rate_limit": 50, "rate_limit_window": 60}}
PROVIDERS = ("google", "apple")

_chance = random.SystemRandom()


class App:
    """With a client ID for the web, and one for phones, at each provider."""

    def __init__(self, caller: httpx.Client, double: SignInDouble, **auth: Any) -> None:
        name = uuid4().hex[:8]
        self.double = double
        self.web, self.phone, self.secret = f"web-{name}", f"phone-{name}", f"secret-{name}"
        ids = {"client_id": self.web, "client_secret": self.secret, "client_ids": [self.phone]}
        of_google, of_apple = auth.pop("google", {}), auth.pop("apple", {})
        self.auth = {"google_oauth": ids | of_google, "apple_oauth": ids | of_apple, **auth}
        self.api = Api.new_tenant(caller, config(**GROUP) | {"auth": self.auth})

    def at(self, provider: str) -> Operator:
        found: Operator = getattr(self.double, provider)
        return found

    def token(self, provider: str, *without: str, **claims: Any) -> str:
        """All in order but for these claims."""
        return self.at(provider).token(*without, **{"aud": self.web, **claims})

    def sign_in(self, provider: str, token: object, /, **body: Any) -> httpx.Response:
        """From an address of its own, unless `address` says which."""
        address = body.pop("address", None) or str(IPv4Address(_chance.getrandbits(32)))
        headers = {"x-forwarded-for": address, **body.pop("headers", {})}
        return self.api.post(f"/auth/{provider}", {"idToken": token, **body}, headers)

    def refusal(self, provider: str, token: str, **body: Any) -> str:
        """The reason for which a token is not taken."""
        reply = self.sign_in(provider, token, **body)
        assert (reply.status_code, reply.json()["error"]) == (401, "Invalid ID token"), reply.text
        assert reply.headers["cache-control"] == "no-store"
        return str(reply.json()["reason"])


def users(valkey: Valkey) -> int:
    """How many there are, of any tenant."""
    return sum(1 for _ in valkey.client.scan_iter("user:*", count=1000))
