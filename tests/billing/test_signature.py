"""Signatures of events, over the bytes that came; over HTTP: tests/shop/test_events.py."""

import hashlib
import hmac
from collections.abc import Sequence

import pytest
import stripe

from server.billing.signature import MOST_SUMS, is_signed

NOW, SECRET = 1_795_390_000, "whsec_any"
BODY = '{"a": "é"}'.encode()


def sum_of(secret: str = SECRET, at: int = NOW, body: bytes = BODY) -> str:
    return hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()


GOOD = f"t={NOW},v1={sum_of()}"
ZEROS = f",v1={'0' * 64}"


@pytest.mark.parametrize(
    ("header", "secrets"),
    [
        (GOOD, [SECRET]),
        (GOOD, ["whsec_other", SECRET]),
        (GOOD + ",v0=any", [SECRET]),
        (f"t={NOW}{ZEROS},v1={sum_of()}", [SECRET]),
        (f"t={NOW - 300},v1={sum_of(at=NOW - 300)}", [SECRET]),
        (f"t={NOW + 300},v1={sum_of(at=NOW + 300)}", [SECRET]),
        (f"t={NOW}" + ZEROS * (MOST_SUMS - 1) + f",v1={sum_of()}", [SECRET]),
        (stripe.WebhookSignature.generate_signature_header(BODY.decode(), SECRET, NOW), [SECRET]),
    ],
)
def test_what_is_signed(header: str, secrets: Sequence[str]) -> None:
    assert is_signed(BODY, header, secrets, NOW)


@pytest.mark.parametrize(
    ("header", "secrets"),
    [
        ("", [SECRET]),
        (GOOD, []),
        (GOOD, ["whsec_other"]),
        (f"t={NOW},v1={sum_of('')}", [""]),
        (f"t={NOW - 301},v1={sum_of(at=NOW - 301)}", [SECRET]),
        (f"t={NOW + 301},v1={sum_of(at=NOW + 301)}", [SECRET]),
        (f"t={NOW},v1={sum_of(body=BODY + b' ')}", [SECRET]),
        (f"t={NOW},v1={sum_of(at=NOW - 1)}", [SECRET]),
        (f"v1={sum_of()}", [SECRET]),
        (f"t={NOW},{GOOD}", [SECRET]),
        (f"t=,v1={sum_of()}", [SECRET]),
        (f"t=-{NOW},v1={sum_of()}", [SECRET]),
        (f"t={NOW}.0,v1={sum_of()}", [SECRET]),
        (f"t={NOW},v1={sum_of().upper()}", [SECRET]),
        (f"t={NOW},v1={sum_of()[:-1]}", [SECRET]),
        (f"t={NOW},v1={'é' * 64}", [SECRET]),
        (f"t={NOW},v1={chr(0xDCFF)}", [SECRET]),
        (f"t={'9' * 10_000},v1={sum_of()}", [SECRET]),
        (f"t={NOW}" + ZEROS * MOST_SUMS + f",v1={sum_of()}", [SECRET]),
        (f"t={NOW}" + ZEROS * 10_000, [SECRET]),
        ("," * 10_000, [SECRET]),
        ("=", [SECRET]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_not(header: str, secrets: Sequence[str]) -> None:
    assert not is_signed(BODY, header, secrets, NOW)
