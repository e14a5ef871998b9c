"""Tokens: signed as they should be, or as an attacker would. Without any library that also verifies
them, so that both cannot be wrong in the same way."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@cache
def rsa_key(number: int) -> RSAPrivateKey:
    """The same for the same number; to make one takes a while."""
    return generate_private_key(public_exponent=65537, key_size=2048)


STRANGER = -1
"""The number of a key that no provider has published."""


def encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(number: int, key_id: str) -> dict[str, str]:
    numbers = rsa_key(number).public_key().public_numbers()
    modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)
    named = {"kty": "RSA", "kid": key_id, "use": "sig", "alg": "RS256"}
    return {**named, "n": encode(modulus), "e": encode(numbers.e.to_bytes(3))}


def junk() -> list[Any]:
    """What a set may contain beside the keys that count. Some of it a stranger has a key for."""
    strangers = jwk(STRANGER, "")
    return [
        {"kty": "EC", "kid": "ec-broken", "crv": "P-256", "x": "AA", "y": "!!"},
        {"kty": "EC", "kid": "ec-odd", "crv": "P-999"},
        {"kty": "oct", "kid": "oct", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "rsa-broken", "n": "AQ", "e": "not base64!"},
        {"kty": "RSA", "kid": "rsa-tiny", "n": "xjlCRBqkQ9w", "e": "AQAB"},
        {**strangers, "kid": "no-rsa", "kty": "EC"},
        {**strangers, "kid": "to-encrypt", "use": "enc"},
        {**strangers, "kid": "rs512", "alg": "RS512"},
        {"kty": 5, "kid": ["a"]},
        "no key at all",
        None,
    ]


def public_pem(number: int) -> bytes:
    return (
        rsa_key(number).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )


def signed(header: dict[str, Any], claims: Any, number: int) -> str:
    """By RS256, whatever the header says; `claims` may be a text that is no JSON."""
    text = _unsigned(header, claims)
    return f"{text}.{encode(rsa_key(number).sign(text.encode(), PKCS1v15(), SHA256()))}"


def with_hmac(header: dict[str, Any], claims: Any, secret: bytes) -> str:
    text = _unsigned(header, claims)
    return f"{text}.{encode(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def without_signature(header: dict[str, Any], claims: Any) -> str:
    return f"{_unsigned(header, claims)}."


def _unsigned(header: dict[str, Any], claims: Any) -> str:
    body = claims if isinstance(claims, str) else json.dumps(claims)
    return f"{encode(json.dumps(header).encode())}.{encode(body.encode())}"
