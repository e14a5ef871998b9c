"""Signature: whether an event comes from Stripe, now.

`Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]`, each v1 the HMAC-SHA256 of `<t>.<body>` by one
secret. Stripe's library takes one secret and any time to come, and fails where a header or a body
is no text.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence

TOLERANCE_SECONDS = 300
MOST_SUMS = 20
"""Stripe sends one for each secret that is in force. More are read, no more are compared."""
_TIME = re.compile(rb"[0-9]{1,12}")
_SUM = re.compile(rb"[0-9a-f]{64}")


def is_signed(body: bytes, header: str, secrets: Sequence[str], now: float) -> bool:
    """Whether it was signed with one of these secrets, not longer than TOLERANCE_SECONDS before or
    after `now` (in seconds). An empty secret signs nothing."""
    times, sums = [], []
    for part in header.encode(errors="surrogateescape").split(b","):
        name, _, value = part.strip().partition(b"=")
        if name == b"t" and _TIME.fullmatch(value):
            times.append(value)
        elif name == b"v1" and _SUM.fullmatch(value):
            sums.append(value)
    if len(times) != 1 or abs(now - int(times[0])) > TOLERANCE_SECONDS:
        return False
    expected = [_sum(secret, times[0], body) for secret in secrets if secret]
    found = [hmac.compare_digest(one, own) for one in sums[:MOST_SUMS] for own in expected]
    return any(found)


def _sum(secret: str, time: bytes, body: bytes) -> bytes:
    digest = hmac.new(secret.encode(), time + b".", hashlib.sha256)
    digest.update(body)
    return digest.hexdigest().encode()
