"""The `auth` of a tenant's config: how its users log in, and how they pay.

All of it was the tenant's own once, and anything could be stored. So a stored member that cannot be
used counts as absent, and takes nothing else of the config with it.
"""

from collections.abc import Collection
from functools import cached_property
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from server.tenants.groups import ANONYMOUS
from server.tenants.origins import is_host
from server.tenants.redirects import LONGEST_REDIRECT, fault_of_redirect
from server.tenants.strict import TO_BE_STORED, GroupName, Lenient, Strict, Text
from server.tenants.stripe import Stripe

ProviderName = Literal["google", "apple"]

_ClientId = Annotated[str, StringConstraints(min_length=1, max_length=300)]


def _checked_redirect(address: str) -> str:
    if fault := fault_of_redirect(address):
        raise ValueError(fault)
    return address


_Redirect = Annotated[
    str, StringConstraints(max_length=LONGEST_REDIRECT), AfterValidator(_checked_redirect)
]


class OAuth(Strict):
    """An app as a login provider knows it. Without a `client_id` nobody signs in there."""

    client_id: _ClientId | None = None
    client_secret: Text | None = None
    client_ids: list[_ClientId] = Field(
        [], max_length=20, description="further ones that ID tokens may be for: of native apps"
    )
    group: GroupName | None = Field(
        None,
        description="which those who sign in join; absent: `<provider>_logged_in`, or else "
        "`google_logged_in`",
    )

    @cached_property
    def audiences(self) -> frozenset[str]:
        """The client IDs that ID tokens may be for."""
        return frozenset({*self.client_ids, *([self.client_id] if self.client_id else [])})


class GoogleOAuth(OAuth):
    hd: Text | None = Field(
        None, description="the domain of a Google Workspace whose users alone may sign in"
    )


def _checked_key(pem: str, info: ValidationInfo) -> str:
    if info.context == TO_BE_STORED and not _is_p256(pem):
        raise ValueError("must be a private key of the curve P-256, as PEM without a password")
    return pem


def _is_p256(pem: str) -> bool:
    # Here, as few workers ever see such a key.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1)


class AppleOAuth(OAuth):
    """With the three of Apple's key, the client secret is made from them at each call."""

    team_id: _ClientId | None = None
    key_id: _ClientId | None = None
    private_key: Annotated[Text, AfterValidator(_checked_key)] | None = Field(
        None, description="PEM; the content of the .p8 file"
    )

    @model_validator(mode="after")
    def _has_all_or_none(self) -> "AppleOAuth":
        of_key = (self.team_id, self.key_id, self.private_key)
        if None in of_key and of_key != (None, None, None):
            raise ValueError("team_id, key_id and private_key go together")
        return self


def _checked_hostname(name: str) -> str:
    if not is_host(name):
        raise ValueError("must be a host as browsers write it, without scheme and port")
    return name


_Hostname = Annotated[
    str, StringConstraints(min_length=1, max_length=253), AfterValidator(_checked_hostname)
]


class Challenge(Strict):
    """What an anonymous login must have solved, in the browser."""

    provider: Literal["turnstile", "hcaptcha", "recaptcha"]
    secret: Annotated[Text, StringConstraints(pattern=r"^[\x21-\x7e]+$")]
    hostnames: list[_Hostname] = Field(
        [], max_length=20, description="of pages where it may have been solved; empty: any"
    )
    min_score: float = Field(
        0.5, ge=0, le=1, description="of reCAPTCHA v3, which gives a score; others give none"
    )


class Anonymous(Lenient):
    """Logins without any provider."""

    enabled: bool = True
    per_day: int = Field(
        0, ge=0, le=1_000_000, description="new users in any 24 hours; 0: no ceiling"
    )
    challenge: Challenge | None = None


class Auth(Lenient):
    redirect_uris: list[_Redirect] = Field(
        [],
        max_length=20,
        description="where a login by redirect may go back to, letter by letter: https, http of "
        "localhost, or an app's own scheme with a dot",
        examples=[["https://app.example.com/signed-in", "com.example.app:/signed-in"]],
    )
    require_nonce: bool = Field(False, description="of each ID token")
    keep_profile: bool = Field(True, description="keep the e-mail address and name of a user")
    google_oauth: GoogleOAuth | None = None
    apple_oauth: AppleOAuth | None = None
    stripe: Stripe | None = None
    anonymous: Anonymous = Anonymous()

    def oauth(self, provider: ProviderName) -> GoogleOAuth | AppleOAuth | None:
        """None where the tenant has not configured it."""
        oauth = self.google_oauth if provider == "google" else self.apple_oauth
        return oauth if oauth and oauth.client_id else None

    def login_group(self, provider: ProviderName, groups: Collection[str]) -> str | None:
        """Which of these groups they join who sign in there; None if there is none, or no login."""
        oauth = self.oauth(provider)
        if oauth is None:
            return None
        named = [oauth.group] if oauth.group else [f"{provider}_logged_in", "google_logged_in"]
        return next((name for name in named if name in groups and name != ANONYMOUS), None)

    def fault(self, groups: Collection[str]) -> str | None:
        """What of it does not fit the tenant's groups."""
        providers: tuple[ProviderName, ...] = ("google", "apple")
        for provider in providers:
            if self.oauth(provider) and self.login_group(provider, groups) is None:
                return f"{provider}_oauth.group: there is no such group, or it is {ANONYMOUS}"
        if self.stripe and (unknown := self.stripe.plans_outside(groups)):
            return f"stripe.plans: there is no group {unknown[0]}"
        return None
