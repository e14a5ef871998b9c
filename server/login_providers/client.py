"""Clients: the tenant's app, as a login provider knows it; server/tenants/auth.py has them."""

from collections.abc import Collection
from typing import Protocol


class Client(Protocol):
    @property
    def client_id(self) -> str | None:
        """Of the web app."""

    @property
    def client_secret(self) -> str | None: ...

    @property
    def audiences(self) -> Collection[str]:
        """All client IDs that ID tokens may be for."""


class GoogleClient(Client, Protocol):
    @property
    def hd(self) -> str | None:
        """The domain of a Google Workspace; only its users may sign in."""


class AppleClient(Client, Protocol):
    """With the three of a key, the client secret is made of them."""

    @property
    def team_id(self) -> str | None: ...

    @property
    def key_id(self) -> str | None: ...

    @property
    def private_key(self) -> str | None:
        """PEM, of the curve P-256."""
