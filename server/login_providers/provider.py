"""What all login providers have in common: endpoints, keys, ID tokens."""

import time
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from server.login_providers import claims as of_claims
from server.login_providers.client import Client
from server.login_providers.identity import ProviderName
from server.login_providers.key_set import KeySet, fetch_keys, read_token
from server.login_providers.published import Published
from server.login_providers.web import Web


@dataclass(frozen=True, slots=True)
class Endpoints:
    """`issuers`: the names that a provider's tokens may have for it."""

    issuers: frozenset[str]
    authorize: str
    token: str
    keys: str


class Provider(ABC):
    """One login provider, asked through `web`. Everything that asks it raises LoginProviderFailed,
    LoginProviderTimeout."""

    title: str

    def __init__(self, web: Web) -> None:
        self._web = web
        self._keys: Published[KeySet] = Published(f"{self.title}'s keys", self._fetch_keys)

    @property
    def name(self) -> ProviderName:
        return self._web.provider

    @abstractmethod
    async def endpoints(self) -> Endpoints: ...

    async def _page(
        self, client: Client, redirect_uri: str, state: str, nonce: str, query: dict[str, str]
    ) -> str:
        asked = {
            "client_id": client.client_id or "",
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "state": state,
            "nonce": nonce,
            **query,
        }
        url = (await self.endpoints()).authorize
        # Spaces as %20: Apple does not take + for one.
        return f"{url}{'&' if '?' in url else '?'}{urlencode(asked, quote_via=quote)}"

    async def _fetch_keys(self) -> tuple[KeySet, float]:
        return await fetch_keys(self._web, (await self.endpoints()).keys)

    async def _verified(
        self, client: Client, id_token: str, nonces: Collection[str] | None
    ) -> tuple[dict[str, Any], str]:
        """The claims, and which of the client's IDs they are for. Raises InvalidIdToken."""
        claims = await read_token(id_token, self._keys)
        of_claims.check_issuer(claims, (await self.endpoints()).issuers)
        client_id = of_claims.audience_of(claims, client.audiences)
        of_claims.check_times(claims, time.time())
        of_claims.check_subject(claims)
        of_claims.check_nonce(claims, nonces)
        return claims, client_id
