"""Settings, read once from the environment."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)

# What an HTTP header can carry back to us: a token with other characters could never match.
_Visible = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]*$", max_length=1024)]

# As others compare them letter by letter, or add to them.
_Url = Annotated[
    str,
    StringConstraints(
        pattern=r"^https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~%/-]*)?$", max_length=300
    ),
]

GOOGLE = "https://accounts.google.com"
APPLE = "https://appleid.apple.com"
TURNSTILE = "https://challenges.cloudflare.com/turnstile/v0/siteverify"
HCAPTCHA = "https://api.hcaptcha.com/siteverify"
RECAPTCHA = "https://www.google.com/recaptcha/api/siteverify"
STRIPE = "https://api.stripe.com"

LEAST_ADMIN_TOKEN = 16
"""Characters of an admin token that nobody guesses, if they are random."""


class SettingsError(ValueError):
    """An environment variable has a value that cannot be used; the message names it."""


class Settings(BaseModel):
    """Each field is the environment variable of the same name in capitals."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    port: int = Field(3000, ge=0, le=65535, description="TCP port; 0 takes a free one")
    host: str = Field("localhost", min_length=1, description="address to listen on")
    redis_url: str = Field(
        "redis://localhost:6379",
        pattern=r"^(rediss?|rediss?\+(sentinel|cluster)|unix)://",
        description="`redis://`, `rediss://` (TLS), `unix://`, `redis+sentinel://`, "
        "`redis+cluster://`",
    )
    redis_timeout: float = Field(1.0, gt=0, le=60, description="seconds for Redis to answer")
    workers: int = Field(1, ge=1, le=256, description="worker processes")
    admin_token: _Visible = Field(
        "",
        description="opens the administration of every tenant; without it that is closed. At least "
        f"{LEAST_ADMIN_TOKEN} characters, unless `HOST` is this machine itself",
    )
    log_level: Literal["debug", "info", "warn", "error"] = Field("info", description="")
    log_format: Literal["text", "json"] = Field("text", description="")
    drain_seconds: float = Field(
        0, ge=0, le=3600, description="seconds to go on serving, not ready, after SIGTERM"
    )
    grace_seconds: float = Field(
        30, ge=0, le=3600, description="seconds for running requests to finish after that"
    )
    user_ttl_days: int = Field(
        30, ge=1, le=3650, description="days until an anonymous user expires that is not used"
    )
    ledger_entries: int = Field(
        200, ge=1, le=1_000_000, description="entries kept of each user's ledger, the newest"
    )
    anonymous_logins_per_minute: int = Field(
        60, ge=0, le=10_000, description="logins per tenant and client address; 0 is no limit"
    )
    anonymous_logins_per_hour: int = Field(
        30, ge=0, le=10_000, description="likewise; more for the networks around an IPv6 address"
    )
    logins_per_minute: int = Field(
        60, ge=0, le=10_000, description="logins of all other kinds, likewise; 0 is no limit"
    )
    logins_memory_share: int = Field(
        80, ge=1, le=100, description="percent of Redis' maxmemory that logins may fill"
    )
    proxies_count: int = Field(
        0, ge=0, le=100, description="proxies in front that append to X-Forwarded-For"
    )
    forwarded_secret: _Visible = Field(
        "", description="the secret by which a proxy's Forwarded header is known"
    )
    realtime_sessions: int = Field(
        500, ge=0, le=100_000, description="sessions of voice in a worker at a time; 0 serves none"
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="a port of its own for /metrics, which needs no token there"
    )
    allow_private_upstreams: bool = Field(
        False, description="upstreams may have private addresses and speak http; for tests"
    )
    public_url: _Url = Field(
        "", description="what browsers call this server; logins by redirect need it"
    )
    google_url: _Url = Field(GOOGLE, description="the issuer of Google's ID tokens")
    apple_url: _Url = Field(APPLE, description="the issuer of Apple's ID tokens")
    turnstile_url: _Url = Field(TURNSTILE, description="where challenges of Turnstile are verified")
    hcaptcha_url: _Url = Field(HCAPTCHA, description="likewise of hCaptcha")
    recaptcha_url: _Url = Field(RECAPTCHA, description="likewise of reCAPTCHA")
    stripe_url: _Url = Field(STRIPE, description="Stripe's API, which has /v1/... under it")

    @field_validator("admin_token")
    @classmethod
    def _is_long_where_others_can_try(cls, token: str, info: ValidationInfo) -> str:
        if 0 < len(token) < LEAST_ADMIN_TOKEN and not _is_loopback(info.data.get("host", "")):
            raise ValueError(
                f"must have at least {LEAST_ADMIN_TOKEN} characters where HOST is not localhost"
            )
        return token

    @field_validator("public_url")
    @classmethod
    def _is_safe_for_browsers(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise ValueError("must begin with https://, unless it is this machine itself")
        return url.rstrip("/")

    @field_validator(
        *("google_url", "apple_url", "turnstile_url", "hcaptcha_url", "recaptcha_url"),
        "stripe_url",
    )
    @classmethod
    def _is_safe_for_secrets(cls, url: str, info: ValidationInfo) -> str:
        if url.startswith("http:") and not info.data.get("allow_private_upstreams"):
            raise ValueError("must begin with https://, unless ALLOW_PRIVATE_UPSTREAMS is 1")
        return url

    @property
    def user_ttl_ms(self) -> int:
        return self.user_ttl_days * 86_400_000

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Reads the variables that are set and not empty.

        Raises SettingsError for the first bad one.
        """
        given = {name: environ.get(name.upper(), "").strip() for name in cls.model_fields}
        try:
            return cls.model_validate({name: text for name, text in given.items() if text})
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            name = str(fault["loc"][0]).upper()
            raise SettingsError(f"{name}: {fault['msg'].removeprefix('Value error, ')}") from None


def _is_loopback(host: str) -> bool:
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
