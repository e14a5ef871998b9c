"""PKCE: who redeems a code shows that it has asked for it (RFC 7636), by S256 alone."""

import hashlib
import re
from base64 import urlsafe_b64encode

VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


def challenge_of(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")
