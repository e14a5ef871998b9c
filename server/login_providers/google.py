"""Google, or another issuer that speaks as Google does (OpenID Connect, with RS256)."""

from collections.abc import Collection

from server.login_providers.client import GoogleClient
from server.login_providers.errors import InvalidIdToken, LoginProviderFailed
from server.login_providers.identity import VerifiedIdentity, identity_of
from server.login_providers.pkce import challenge_of
from server.login_providers.provider import Endpoints, Provider
from server.login_providers.published import Published
from server.login_providers.redeem import redeem
from server.login_providers.web import Web
from server.settings import GOOGLE
from server.upstream.addresses import fault_of_url

_ALSO_GOOGLE = "accounts.google.com"
_DISCOVERY = "/.well-known/openid-configuration"


class Google(Provider):
    """At the issuer `url`; `allow_private` as for upstreams."""

    title = "Google"

    def __init__(self, web: Web, url: str, allow_private: bool) -> None:
        super().__init__(web)
        self._url = url.rstrip("/")
        self._allow_private = allow_private
        self._endpoints = Published("Google's endpoints", self._fetch_endpoints)

    async def endpoints(self) -> Endpoints:
        return await self._endpoints.get()

    async def verify(
        self, client: GoogleClient, id_token: str, nonces: Collection[str] | None
    ) -> VerifiedIdentity:
        """Whom the token is about; `nonces` as in `check_nonce`. Raises InvalidIdToken, and as
        Provider says."""
        claims, client_id = await self._verified(client, id_token, nonces)
        if client.hd is not None and claims.get("hd") != client.hd:
            raise InvalidIdToken("audience")
        return identity_of(self.name, claims, client_id)

    async def page(
        self, client: GoogleClient, redirect_uri: str, state: str, nonce: str, code_verifier: str
    ) -> str:
        """Where a person signs in, and comes back from to `redirect_uri`. Raises as Provider
        says."""
        query = {
            "scope": "openid email profile",
            "code_challenge": challenge_of(code_verifier),
            "code_challenge_method": "S256",
        }
        if client.hd is not None:
            query["hd"] = client.hd
        return await self._page(client, redirect_uri, state, nonce, query)

    async def redeem(
        self,
        client: GoogleClient,
        tenant_id: str,
        code: str,
        redirect_uri: str,
        code_verifier: str,
        nonce: str,
    ) -> VerifiedIdentity:
        """Who has come back from Google with `code`. Raises as `verify`."""
        form = {
            "code": code,
            "client_id": client.client_id or "",
            "client_secret": client.client_secret or "",
            "redirect_uri": redirect_uri,
            "code_verifier": code_verifier,
        }
        tokens = await redeem(self._web, (await self.endpoints()).token, form, tenant_id)
        return await self.verify(client, tokens.id_token, (nonce,))

    async def _fetch_endpoints(self) -> tuple[Endpoints, float]:
        answer = await self._web.get("discovery", self._url + _DISCOVERY)
        found = [
            answer.body.get(name)
            for name in ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
        ]
        issuer, *urls = [text for text in found if isinstance(text, str)] or [""]
        if answer.status != 200 or len(urls) != 3 or issuer.rstrip("/") != self._url:
            raise LoginProviderFailed(f"status {answer.status}, not this issuer's")
        if any(fault_of_url(url, self._allow_private) for url in urls):
            raise LoginProviderFailed("an endpoint's URL cannot be used")
        issuers = {issuer, _ALSO_GOOGLE} if issuer == GOOGLE else {issuer}
        return Endpoints(frozenset(issuers), *urls), answer.max_age
