"""Claims of ID tokens: what they must say."""

from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any, TypeGuard

from server.login_providers.errors import InvalidIdToken

LEEWAY_SECONDS = 60
LONGEST_LIFE_SECONDS = 24 * 60 * 60
LONGEST_SUBJECT = 255

Claims = Mapping[str, Any]


def check_issuer(claims: Claims, issuers: Collection[str]) -> None:
    if not isinstance(claims.get("iss"), str) or claims["iss"] not in issuers:
        raise InvalidIdToken("issuer")


def audience_of(claims: Claims, client_ids: Collection[str]) -> str:
    """The one of these client IDs that the token is for."""
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if isinstance(audience, list) and any(one in client_ids for one in audience):
        # Of several it is for the one that asked. Of a single one that would be wrong: Android apps
        # ask, by an ID of their own, for a token that is for their server.
        audience = claims.get("azp")
    if not isinstance(audience, str) or audience not in client_ids:
        raise InvalidIdToken("audience")
    return audience


def check_times(claims: Claims, now: float, must_expire: bool = True) -> None:
    """`now` in seconds of the epoch."""
    issued, expires, begins = claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)
    if expires is None and not must_expire:
        expires = now
    if not (_is_time(issued) and _is_time(expires) and _is_time(begins)):
        raise InvalidIdToken("malformed")
    if (
        expires <= now - LEEWAY_SECONDS
        or max(issued, begins) > now + LEEWAY_SECONDS
        or (must_expire and expires - issued > LONGEST_LIFE_SECONDS)
    ):
        raise InvalidIdToken("expired")


def check_subject(claims: Claims) -> None:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise InvalidIdToken("malformed")


def check_nonce(claims: Claims, nonces: Collection[str] | None) -> None:
    """It must be one of `nonces`; None: nothing is asked of it."""
    # The SDKs put some in by themselves, so that one that nobody has asked for says nothing.
    if nonces is not None and claims.get("nonce") not in nonces:
        raise InvalidIdToken("nonce")


def nonces_of(nonce: str | None, is_required: bool) -> tuple[str, ...] | None:
    """For `check_nonce`, by what an app has sent: native SDKs hash the nonce first."""
    if nonce is None:
        return () if is_required else None
    return nonce, sha256(nonce.encode()).hexdigest()


def _is_time(value: Any) -> TypeGuard[int | float]:
    # bool is an int to Python.
    return type(value) in (int, float)
