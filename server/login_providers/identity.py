"""Identities: who somebody is to a login provider."""

from dataclasses import dataclass, field
from typing import Any, Literal

ProviderName = Literal["google", "apple"]

LONGEST_EMAIL = 320
LONGEST_NAME = 200
"""Characters."""


@dataclass(frozen=True, slots=True)
class VerifiedIdentity:
    """What a provider has vouched for. `subject` alone says who it is, and never the e-mail
    address, which others can come to have.

    `client_id` is the one of the tenant's client IDs that was signed in to. `refresh_token` is
    Apple's, which has to be revoked when the account is deleted, by the same `client_id`.
    """

    provider: ProviderName
    subject: str
    email: str | None
    email_verified: bool
    name: str | None
    client_id: str
    refresh_token: str | None = field(default=None, repr=False)


def identity_of(provider: ProviderName, claims: dict[str, Any], client_id: str) -> VerifiedIdentity:
    """By the claims of a verified token."""
    email, verified = claims.get("email"), claims.get("email_verified")
    if not isinstance(email, str) or not 0 < len(email) <= LONGEST_EMAIL:
        email = None
    name = claims.get("name")
    return VerifiedIdentity(
        provider,
        claims["sub"],
        email,
        # Apple has written it as a text, too.
        email is not None and (verified is True or verified == "true"),
        name[:LONGEST_NAME] if isinstance(name, str) and name else None,
        client_id,
    )
