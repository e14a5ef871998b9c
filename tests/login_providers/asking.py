"""LoginProviders of this process, at a double of the test's own, and a clock that can go on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

import pytest

from server.login_providers import published
from server.login_providers.login_providers import LoginProviders
from server.settings import Settings
from server.timeouts import Timeouts
from server.upstream import client
from server.upstream.client import Upstream
from server.upstream.names import Names
from tests.doubles.sign_in import SignInDouble

SECONDS = 3.0


@dataclass(frozen=True)
class Client:
    """As a tenant's config has it."""

    client_id: str | None = "web"
    client_secret: str | None = "secret"
    client_ids: tuple[str, ...] = ("phone",)
    hd: str | None = None
    team_id: str | None = None
    key_id: str | None = None
    private_key: str | None = field(default=None, repr=False)

    @property
    def audiences(self) -> tuple[str, ...]:
        return (self.client_id or "", *self.client_ids)


class Clock:
    """Of what is kept; `advance` makes it older."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        monkeypatch.setattr(published, "monotonic", lambda: monotonic() + self.ahead)

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


@asynccontextmanager
async def login_providers(
    double: SignInDouble, seconds: float = SECONDS
) -> AsyncIterator[LoginProviders]:
    upstream = Upstream(Names(), True, Timeouts())
    with pytest.MonkeyPatch.context() as patch:
        # To read all certificates takes longer than most of the tests.
        patch.setattr(client, "tls_context", lambda: True)
        await upstream.start()
    settings = Settings(
        google_url=double.google.url, apple_url=double.apple.url, allow_private_upstreams=True
    )
    yield LoginProviders(upstream, settings, seconds)
    await upstream.close()
