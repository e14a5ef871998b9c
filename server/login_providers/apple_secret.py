"""Apple's client secrets: tokens themselves, made from a key of the tenant's, or made by it."""

import logging
import time
from base64 import urlsafe_b64decode

import orjson

from server.login_providers.client import AppleClient
from server.login_providers.errors import LoginProviderFailed
from server.recent import Recent

log = logging.getLogger(__name__)

MADE_SECONDS = 60 * 60
WARN_SECONDS = 14 * 24 * 60 * 60
_TELL_AGAIN_SECONDS = 60 * 60
_REMEMBERED_TENANTS = 1_000


class AppleSecrets:
    """For Apple at `issuer`. Tells the log in time when a secret ends, once an hour and tenant."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._told: Recent[float] = Recent(_REMEMBERED_TENANTS)

    def secret_of(self, client: AppleClient, client_id: str, tenant_id: str) -> str:
        """That proves to be this client. Raises LoginProviderFailed if there is none that does."""
        if client.team_id and client.key_id and client.private_key:
            return self._make(client.team_id, client_id, client.key_id, client.private_key)
        if not client.client_secret:
            raise LoginProviderFailed("no client secret")
        expires = _expiry_of(client.client_secret)
        if expires is not None:
            self._look_at(expires - time.time(), tenant_id)
        return client.client_secret

    def _make(self, team_id: str, client_id: str, key_id: str, pem: str) -> str:
        from server.login_providers import jose

        now = int(time.time())
        claims = {
            "iss": team_id,
            "iat": now,
            "exp": now + MADE_SECONDS,
            "aud": self._issuer,
            "sub": client_id,
        }
        try:
            return jose.sign(claims, key_id, pem)
        except ValueError:
            raise LoginProviderFailed("no private key") from None

    def _look_at(self, seconds_left: float, tenant_id: str) -> None:
        if seconds_left > WARN_SECONDS:
            return
        now = time.monotonic()
        is_known = now < (self._told.get(tenant_id) or 0)
        if not is_known:
            self._told.put(tenant_id, now + _TELL_AGAIN_SECONDS)
        if seconds_left > 0:
            if not is_known:
                days = int(seconds_left / 86_400)
                log.warning(
                    "Tenant %s: its client secret for Apple ends in %d days", tenant_id, days
                )
            return
        if not is_known:
            log.error("Tenant %s: its client secret for Apple has expired", tenant_id)
        raise LoginProviderFailed("client secret expired")


def _expiry_of(secret: str) -> float | None:
    """In seconds of the epoch; None if it is no token, or does not say."""
    parts = secret.split(".")
    if len(parts) != 3:
        return None
    try:
        expires = orjson.loads(urlsafe_b64decode(parts[1] + "=="))["exp"]
    except (ValueError, TypeError, KeyError):
        return None
    return expires if type(expires) in (int, float) else None
