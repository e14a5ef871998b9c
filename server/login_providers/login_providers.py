"""LoginProviders: Google and Apple, as this server asks them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.login_providers.apple import Apple
from server.login_providers.errors import LoginProviderTimeout
from server.login_providers.google import Google
from server.login_providers.web import Web
from server.settings import Settings
from server.upstream.client import Upstream


class LoginProviders:
    """Through `upstream`. A sign-in may wait `seconds` for them."""

    def __init__(self, upstream: Upstream, settings: Settings, seconds: float) -> None:
        self._seconds = seconds
        self.google = Google(
            Web(upstream, "google", seconds), settings.google_url, settings.allow_private_upstreams
        )
        self.apple = Apple(Web(upstream, "apple", seconds), settings.apple_url)

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """All that a sign-in asks a provider goes into the body of `with`. Raises
        LoginProviderTimeout."""
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except TimeoutError:
            raise LoginProviderTimeout("no answer in time") from None
