"""People with accounts at login providers, who sign in to an app."""

from typing import Any
from uuid import uuid4

import httpx

from tests.api import User
from tests.login_providers.signing import App
from tests.processes import Valkey


class SignedIn(User):
    """A user by the reply to its login."""

    def __init__(self, app: App, reply: dict[str, Any]) -> None:
        super().__init__(app.api, reply)
        self.reply = reply

    def me(self) -> dict[str, Any]:
        reply = self.api.get("/auth/me", self.headers)
        assert reply.status_code == 200, reply.text
        assert reply.headers["cache-control"] == "no-store"
        return dict(reply.json())

    def leave(self, **body: object) -> httpx.Response:
        path = f"/{self.api.tenant_id}/auth/me"
        return self.api.client.request("DELETE", path, json=body, headers=self.headers)


class Person:
    """One of an own `sub`, which is the account."""

    def __init__(self, app: App, provider: str = "google", **claims: Any) -> None:
        self.app, self.provider = app, provider
        self.claims = {"sub": f"sub-{uuid4().hex}", **claims}

    def try_to_sign_in(self, user: User | None = None, **body: Any) -> httpx.Response:
        """With the key of this user."""
        token = self.app.token(self.provider, **self.claims)
        headers = user.headers if user else {}
        return self.app.sign_in(self.provider, token, headers=headers, **body)

    def sign_in(self, user: User | None = None, **body: Any) -> SignedIn:
        reply = self.try_to_sign_in(user, **body)
        assert reply.status_code == 200, reply.text
        assert reply.headers["cache-control"] == "no-store"
        return SignedIn(self.app, reply.json())


def works(user: User) -> bool:
    reply = user.api.get("/balance", user.headers)
    assert reply.status_code in (200, 401), reply.text
    return reply.status_code == 200


def records_of(valkey: Valkey, user: User) -> set[str]:
    """The API keys whose records lead to the user, and stay."""
    return {
        key.removeprefix("apiKey:")
        for key in valkey.client.scan_iter("apiKey:*", count=1000)
        if valkey.client.get(key) == user.user_id and valkey.client.ttl(key) == -1
    }


def account_key(user: User) -> str:
    return f"{{user:{user.user_id}}}:account"


def index_of(valkey: Valkey, user: User) -> dict[str, str]:
    """The keys of the user's identities, and what they are."""
    names = [name for name in valkey.client.hkeys(account_key(user)) if "identity:" in name]
    keys = [f"tenant:{user.api.tenant_id}:{name!s}" for name in names]
    return {key: str(valkey.client.get(key)) for key in keys}
