"""The API as a client of it sees it: a thin, synchronous caller for tests."""

from typing import Any
from uuid import uuid4

import httpx

from tests.processes import ADMIN_TOKEN

ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}

GROUPS = {
    "anonymous": {"tokens": 100, "rate_limit": 10_000, "rate_limit_window": 60},
    "paid": {"tokens": 5_000, "rate_limit": 10_000, "rate_limit_window": 60},
}


def config(**groups: dict[str, int]) -> dict[str, Any]:
    """A valid tenant config; `groups` replace or add to GROUPS."""
    return {"auth": {}, "user_groups": GROUPS | groups, "providers": {}}


class User:
    """A logged-in user."""

    def __init__(self, api: "Api", login: dict[str, Any]) -> None:
        self.api = api
        self.api_key: str = login["apiKey"]
        self.user_id: str = login["userId"]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    def charge(self, tokens: int = 1, **headers: str) -> httpx.Response:
        return self.api.post("/charges", {"tokens": tokens}, {**self.headers, **headers})

    def balance(self) -> dict[str, Any]:
        reply = self.api.get("/balance", self.headers)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def hold(self, body: object, **headers: str) -> httpx.Response:
        return self.api.post("/holds", body, {**self.headers, **headers})

    def settle(self, hold_id: str, tokens: object) -> httpx.Response:
        return self.api.post(f"/holds/{hold_id}/settle", {"tokens": tokens}, self.headers)

    def ledger(self, query: str = "") -> list[dict[str, Any]]:
        """The newest entry first."""
        reply = self.api.get(f"/ledger{query}", self.headers)
        assert reply.status_code == 200, reply.text
        entries: list[dict[str, Any]] = reply.json()["entries"]
        return entries

    def changes(self) -> list[tuple[str, int, int]]:
        """The ledger as (op, tokens, tokensLeft), the oldest first."""
        return [(entry["op"], entry["tokens"], entry["tokensLeft"]) for entry in self.ledger()][
            ::-1
        ]

    def become_permanent(self) -> "User":
        """Of the group `paid`: what is kept of a temporary user is less."""
        assert self.grant({"group": "paid"}).status_code == 200
        return self

    def restricted(self, **body: object) -> "User":
        """The same user with a new restricted key."""
        reply = self.api.post("/keys", body, self.headers)
        assert reply.status_code == 201, reply.text
        return User(self.api, {"apiKey": reply.json()["apiKey"], "userId": self.user_id})

    def restricted_keys(self) -> list[dict[str, Any]]:
        reply = self.api.get("/keys", self.headers)
        assert reply.status_code == 200, reply.text
        keys: list[dict[str, Any]] = reply.json()["keys"]
        return keys

    def grant(self, body: object, **headers: str) -> httpx.Response:
        return self.api.post(f"/admin/users/{self.user_id}/grants", body, {**ADMIN, **headers})


class Api:
    """One tenant of one server."""

    def __init__(self, client: httpx.Client, tenant_id: str) -> None:
        self.client = client
        self.tenant_id = tenant_id

    @classmethod
    def new_tenant(cls, client: httpx.Client, value: dict[str, Any] | None = None) -> "Api":
        """A tenant of its own, so that tests share a server and nothing else."""
        tenant_id = f"t-{uuid4().hex[:12]}"
        body = {"tenantId": tenant_id, "config": config() if value is None else value}
        reply = client.post("/tenants", json=body, headers=ADMIN)
        assert reply.status_code == 201, reply.text
        return cls(client, tenant_id)

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.client.get(f"/{self.tenant_id}{path}", headers=headers)

    def post(
        self, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return self.client.post(f"/{self.tenant_id}{path}", json=body, headers=headers)

    def put_config(self, value: object, **headers: str) -> httpx.Response:
        return self.client.put(
            f"/{self.tenant_id}/admin/config", json={"config": value}, headers={**ADMIN, **headers}
        )

    def revoke(self, api_key: str) -> httpx.Response:
        return self.client.delete(f"/{self.tenant_id}/admin/keys/{api_key}", headers=ADMIN)

    def login(self) -> User:
        reply = self.client.post(f"/{self.tenant_id}/auth/anonymous")
        assert reply.status_code == 200, reply.text
        return User(self, reply.json())
