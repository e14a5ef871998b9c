"""Apple: ID tokens, codes, refresh tokens, and what it tells of accounts."""

import logging
import time
from collections.abc import Collection
from dataclasses import replace

from server.login_providers.apple_events import AppleEvent, event_of
from server.login_providers.apple_secret import AppleSecrets
from server.login_providers.claims import audience_of, check_issuer, check_times
from server.login_providers.client import AppleClient
from server.login_providers.errors import InvalidIdToken, InvalidNotification, LoginProviderFailed
from server.login_providers.identity import VerifiedIdentity, identity_of
from server.login_providers.key_set import read_token
from server.login_providers.provider import Endpoints, Provider
from server.login_providers.redeem import Tokens, redeem, refused
from server.login_providers.web import Web

log = logging.getLogger(__name__)


class Apple(Provider):
    """At the issuer `url`."""

    title = "Apple"

    def __init__(self, web: Web, url: str) -> None:
        super().__init__(web)
        url = url.rstrip("/")
        self._urls = Endpoints(
            frozenset([url]), f"{url}/auth/authorize", f"{url}/auth/token", f"{url}/auth/keys"
        )
        self._revoke = f"{url}/auth/revoke"
        self._secrets = AppleSecrets(url)

    async def endpoints(self) -> Endpoints:
        return self._urls

    async def verify(
        self, client: AppleClient, id_token: str, nonces: Collection[str] | None
    ) -> VerifiedIdentity:
        """As Google's."""
        claims, client_id = await self._verified(client, id_token, nonces)
        return identity_of(self.name, claims, client_id)

    async def page(self, client: AppleClient, redirect_uri: str, state: str, nonce: str) -> str:
        """As Google's. From Apple they come back by a form, as it tells addresses only so."""
        query = {"scope": "name email", "response_mode": "form_post"}
        return await self._page(client, redirect_uri, state, nonce, query)

    async def redeem(
        self, client: AppleClient, tenant_id: str, code: str, redirect_uri: str, nonce: str
    ) -> VerifiedIdentity:
        """Who has come back from Apple with `code`, with the refresh token. Raises as `verify`."""
        tokens = await self._redeem(client, client.client_id or "", tenant_id, code, redirect_uri)
        identity = await self.verify(client, tokens.id_token, (nonce,))
        return replace(identity, refresh_token=tokens.refresh_token)

    async def with_refresh_token(
        self, client: AppleClient, tenant_id: str, identity: VerifiedIdentity, code: str
    ) -> VerifiedIdentity:
        """The identity with the refresh token for the `code` of a native sign-in, or as it was.

        Without it a sign-in is as good: the code of one that is repeated, after its reply was lost,
        has been used.
        """
        try:
            tokens = await self._redeem(client, identity.client_id, tenant_id, code)
            of_code = await self.verify(client, tokens.id_token, None)
        except (LoginProviderFailed, InvalidIdToken) as error:
            log.warning("Tenant %s: Apple gives no refresh token: %s", tenant_id, error.reason)
            return identity
        # Somebody else's would be revoked with this account.
        is_same = of_code.subject == identity.subject
        return replace(identity, refresh_token=tokens.refresh_token) if is_same else identity

    async def refresh_token(
        self, client: AppleClient, tenant_id: str, client_id: str, code: str
    ) -> str:
        """For the `code` of a native sign-in to `client_id`; '' if Apple gives none. Raises as
        Provider says."""
        tokens = await self._redeem(client, client_id, tenant_id, code)
        return tokens.refresh_token or ""

    async def revoke(
        self, client: AppleClient, tenant_id: str, client_id: str, refresh_token: str
    ) -> None:
        """Ends what Apple has let us know of an account; `client_id` as the identity had it. Apple
        says yes to any token. Raises as Provider says."""
        form = {
            "client_id": client_id,
            "client_secret": self._secrets.secret_of(client, client_id, tenant_id),
            "token": refresh_token,
            "token_type_hint": "refresh_token",
        }
        answer = await self._web.post("revoke", self._revoke, form)
        if answer.status != 200:
            raise refused(answer, tenant_id, self.title)

    async def read_notification(self, client: AppleClient, payload: str) -> AppleEvent | None:
        """What has happened to an account; None for what is of no interest. Raises
        InvalidNotification, and as Provider says."""
        try:
            claims = await read_token(payload, self._keys)
            check_issuer(claims, self._urls.issuers)
            audience_of(claims, client.audiences)
            check_times(claims, time.time(), must_expire=False)
            return event_of(claims)
        except InvalidIdToken:
            raise InvalidNotification from None

    async def _redeem(
        self,
        client: AppleClient,
        client_id: str,
        tenant_id: str,
        code: str,
        redirect_uri: str | None = None,
    ) -> Tokens:
        form = {
            "code": code,
            "client_id": client_id,
            "client_secret": self._secrets.secret_of(client, client_id, tenant_id),
        }
        if redirect_uri is not None:
            form["redirect_uri"] = redirect_uri
        return await redeem(self._web, self._urls.token, form, tenant_id)
