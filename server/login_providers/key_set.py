"""The keys that a login provider signs with, and tokens that one of them has signed."""

import asyncio
from base64 import urlsafe_b64decode
from importlib import import_module
from typing import TYPE_CHECKING, Any

import orjson

from server.login_providers.errors import InvalidIdToken, LoginProviderFailed
from server.login_providers.published import Published
from server.login_providers.web import Web

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

MOST_KEYS = 50
LARGEST_TOKEN = 16 * 1024
"""Bytes, before anything of it is parsed."""

_SAY_WHAT_TO_VERIFY_BY = {"crit", "b64", "jwk", "jku", "x5c", "x5u"}


class KeySet:
    """The RSA keys of a JWK set; what else is in there, and however broken, is left out."""

    def __init__(self, jwks: dict[str, Any]) -> None:
        """Raises LoginProviderFailed where there is none."""
        from server.login_providers import jose

        listed = jwks.get("keys")
        self._keys: list[tuple[Any, RSAKey]] = [
            (jwk.get("kid"), key)
            for jwk in (listed[:MOST_KEYS] if isinstance(listed, list) else ())
            if isinstance(jwk, dict) and _is_for_signatures(jwk) and (key := jose.rsa_key(jwk))
        ]
        if not self._keys:
            raise LoginProviderFailed("no keys")

    def find(self, key_id: str | None) -> "RSAKey | None":
        """By its ID; the only one for a token that names none."""
        if key_id is None:
            return self._keys[0][1] if len(self._keys) == 1 else None
        return next((key for own_id, key in self._keys if own_id == key_id), None)


async def fetch_keys(web: Web, url: str) -> tuple[KeySet, float]:
    """As Published wants it."""
    answer = await web.get("keys", url)
    if answer.status != 200:
        raise LoginProviderFailed(f"status {answer.status}")
    # In a thread: whoever is served meanwhile does not wait for it.
    await asyncio.to_thread(import_module, "server.login_providers.jose")
    return KeySet(answer.body), answer.max_age


async def read_token(token: str, published: Published[KeySet]) -> dict[str, Any]:
    """The claims of a token that one of the keys has signed. Raises InvalidIdToken,
    LoginProviderFailed."""
    key_id = _key_id(token)
    key = (await published.get()).find(key_id)
    if key is None and key_id is not None:
        key = (await published.get_newer()).find(key_id)
    if key is None:
        raise InvalidIdToken("signature")
    from server.login_providers import jose

    return jose.claims_of(token, key)


def _key_id(token: str) -> str | None:
    """Of the key that must have signed it. Raises InvalidIdToken."""
    parts = token.split(".", 3) if len(token) <= LARGEST_TOKEN and token.isascii() else ()
    if len(parts) != 3:
        raise InvalidIdToken("malformed")
    try:
        header = orjson.loads(urlsafe_b64decode(parts[0] + "=="))
    except ValueError:
        raise InvalidIdToken("malformed") from None
    if not isinstance(header, dict) or not isinstance(header.get("kid", ""), str):
        raise InvalidIdToken("malformed")
    # The one who has to be trusted must not choose by what.
    if header.get("alg") != "RS256" or not _SAY_WHAT_TO_VERIFY_BY.isdisjoint(header):
        raise InvalidIdToken("signature")
    return header.get("kid")


def _is_for_signatures(jwk: dict[str, Any]) -> bool:
    return (
        jwk.get("kty") == "RSA"
        and jwk.get("use", "sig") == "sig"
        and jwk.get("alg", "RS256") == "RS256"
    )
