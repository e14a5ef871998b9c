"""All that joserfc does for us. To be imported when the first token comes: it takes 65 ms and 9 MB
that a worker without sign-ins does not need."""

import binascii
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import ECKey, RSAKey

from server.login_providers.errors import InvalidIdToken

LEAST_BITS, MOST_BITS = 2048, 4096
_ALGORITHMS = ["RS256"]
_READING = jws.JWSRegistry(algorithms=_ALGORITHMS, strict_check_header=False)


def rsa_key(jwk: dict[str, Any]) -> RSAKey | None:
    """A public key for RS256; None if it is none."""
    modulus, exponent = jwk.get("n"), jwk.get("e")
    if not isinstance(modulus, str) or not isinstance(exponent, str):
        return None
    # Six bits each.
    if not LEAST_BITS / 6 <= len(modulus) <= MOST_BITS / 5 or len(exponent) > 8:
        return None
    try:
        # Nothing else of it is wanted, least of all a private part.
        key = RSAKey.import_key({"kty": "RSA", "n": modulus, "e": exponent})
    except (JoseError, ValueError, TypeError, binascii.Error):
        return None
    return key if LEAST_BITS <= key.public_key.key_size <= MOST_BITS else None


def claims_of(token: str, key: RSAKey) -> dict[str, Any]:
    """Of a token that `key` has signed. Raises InvalidIdToken."""
    try:
        payload = jws.deserialize_compact(token, key, registry=_READING).payload
    except BadSignatureError:
        raise InvalidIdToken("signature") from None
    except (JoseError, ValueError, TypeError):
        raise InvalidIdToken("malformed") from None
    try:
        claims = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise InvalidIdToken("malformed") from None
    if not isinstance(claims, dict):
        raise InvalidIdToken("malformed")
    return claims


def sign(claims: dict[str, Any], key_id: str, pem: str) -> str:
    """A token by ES256. Raises ValueError where `pem` is no key for that."""
    try:
        key = ECKey.import_key(pem)
        header = {"alg": "ES256", "kid": key_id}
        return jws.serialize_compact(header, orjson.dumps(claims), key, algorithms=["ES256"])
    except (JoseError, TypeError) as error:
        raise ValueError(type(error).__name__) from None
