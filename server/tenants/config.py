"""What a tenant's config must be."""

import re
from functools import cached_property
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from server.amounts import LARGEST, Tokens
from server.errors import Detail, Invalid
from server.providers.wire import ProtocolName

MOST_REQUESTS = 10_000
RateLimit = Annotated[int, Field(ge=1, le=MOST_REQUESTS, description="requests per window")]
RateLimitWindow = Annotated[int, Field(ge=1, le=86_400, description="seconds")]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Of a group or an endpoint: in logs, metrics and `<endpoint>/<model>` it can be nothing else."""
_TO_BE_STORED = "to be stored"


def _checked_name(name: str, info: ValidationInfo) -> str:
    # What is stored may have other names, from before there was this rule, and is served.
    if info.context == _TO_BE_STORED and not NAME.fullmatch(name):
        raise ValueError(f"the name must match {NAME.pattern}")
    return name


_GroupName = Annotated[str, AfterValidator(_checked_name)]
_Name = Annotated[_GroupName, StringConstraints(min_length=1, max_length=64)]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
# What aiohttp and servers take as a header's value alike: no spaces at its ends, ASCII.
_Sendable = Annotated[
    str, StringConstraints(pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$", max_length=2048)
]
_Origin = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,300}$")]

_OPENAI = re.compile(r"https?://api\.openai\.com(?![\w.-])", re.IGNORECASE)


class _Config(BaseModel):
    """Strict (no "5" for 5), with members we do not know allowed: they are the tenant's own."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, hide_input_in_errors=True)


class Group(_Config):
    """What a user of this group gets: a balance, and `rate_limit` requests in a window."""

    tokens: Tokens = Field(description="the balance at login or on a move to this group")
    rate_limit: RateLimit
    rate_limit_window: RateLimitWindow


class Endpoint(_Config):
    """One configured upstream."""

    url: _Text | None = None
    api_key: _Sendable | None = None
    default_model: _Text | None = None
    protocol: ProtocolName | None = None
    weight: int = Field(1, ge=1, le=1_000, description="tokens charged per token used")


class TextEndpoint(Endpoint):
    """An upstream for chat completions or messages."""

    models: list[_Text] = Field([], description="further models to ask it for")
    max_output: int = Field(
        4_096, ge=1, le=10_000_000, description="output limit in tokens where a call has none"
    )
    limit_field: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        None, description="what it calls the output limit; absent: by its host"
    )
    image_tokens: int = Field(1_600, ge=0, le=1_000_000, description="tokens that an image costs")
    reasoning: bool | None = Field(
        None,
        description="whether its models may reason without being asked to; absent: all may but "
        "those that are known not to",
    )
    unbounded: bool = Field(False, description="takes what may cost more than can be known before")

    def speaks(self, name: str) -> ProtocolName:
        """The protocol of the endpoint of this name."""
        if self.protocol is not None:
            return self.protocol
        path = re.split("[?#]", self.url or "")[0]
        is_anthropic = name == "anthropic" or path.endswith("/v1/messages")
        return "anthropic" if is_anthropic else "openai"

    @cached_property
    def named_models(self) -> frozenset[str]:
        """Those that the config names."""
        return frozenset({*self.models, self.default_model or ""} - {""})

    @cached_property
    def effective_limit_field(self) -> Literal["max_tokens", "max_completion_tokens"]:
        """The member of a chat completion request that bounds its output.

        OpenAI's newer models refuse `max_tokens`; other hosts may not know the other.
        """
        if self.limit_field is not None:
            return self.limit_field
        return "max_completion_tokens" if _OPENAI.match(self.url or "") else "max_tokens"


_AnyEndpoint = TypeVar("_AnyEndpoint", bound=Endpoint)


class _Endpoints(_Config, Generic[_AnyEndpoint]):
    endpoints: dict[_Name, _AnyEndpoint] = {}
    default: _Name | None = None

    @field_validator("default")
    @classmethod
    def _exists(cls, default: str | None, info: ValidationInfo) -> str | None:
        if default is not None and default not in info.data.get("endpoints", {default: None}):
            raise ValueError("there is no endpoint of that name")
        return default


class TextEndpoints(_Endpoints[TextEndpoint]):
    """The text endpoints by name, the name of the default one, and those to fall back on."""

    fallback: list[_Name] = Field(
        [], description="names of endpoints, tried in this order when another one fails"
    )

    @field_validator("fallback")
    @classmethod
    def _exist(cls, fallback: list[str], info: ValidationInfo) -> list[str]:
        unknown = set(fallback) - set(info.data.get("endpoints", fallback))
        if unknown:
            raise ValueError(f"there is no endpoint {min(unknown)!r}")
        return fallback


class RealtimeEndpoints(_Endpoints[Endpoint]):
    """The realtime endpoints by name, and the name of the default one."""


class Providers(_Config):
    """The endpoints by what they are for. Those of `realtime` have their URLs checked, but nothing
    serves them yet."""

    text: TextEndpoints | None = None
    realtime: RealtimeEndpoints | None = None

    def urls(self) -> dict[str, str]:
        """The configured URLs by their paths in the config."""
        kinds = {"text": self.text, "realtime": self.realtime}
        return {
            f"providers.{kind}.endpoints.{name}.url": endpoint.url
            for kind, of_kind in kinds.items()
            for name, endpoint in (of_kind.endpoints.items() if of_kind else ())
            if endpoint.url is not None
        }

    def count_endpoints(self) -> int:
        return sum(len(kind.endpoints) for kind in (self.text, self.realtime) if kind)


ANONYMOUS = "anonymous"
"""The group that each new user joins."""


def is_temporary(group: str) -> bool:
    """Do users of this group expire, with their keys? All others are permanent."""
    return group == ANONYMOUS


class UserGroups(_Config):
    """Any groups by name; `anonymous`, which each new user joins, must be one of them."""

    __pydantic_extra__: dict[_GroupName, Group]

    anonymous: Group

    def find(self, name: str) -> Group | None:
        return self.anonymous if name == ANONYMOUS else self.__pydantic_extra__.get(name)


class Limits(_Config):
    """What a tenant's users may do together; absent: no limit."""

    logins_per_hour: int | None = Field(
        None, ge=1, le=100_000, description="logins in any hour, whatever addresses they come from"
    )
    streams: int | None = Field(
        None, ge=1, le=1_000_000, description="streamed provider calls at the same time"
    )
    calls_per_minute: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="charges, holds and provider calls in a minute of the clock",
    )
    tokens_per_day: int | None = Field(
        None, ge=1, le=LARGEST, description="tokens of balances, in a day of UTC"
    )

    @cached_property
    def are_metered(self) -> bool:
        """Is there one of those that charges, holds and provider calls count for?"""
        return (self.streams, self.calls_per_minute, self.tokens_per_day) != (None, None, None)


class TenantConfig(_Config):
    """A tenant: login methods, user groups, providers. Nothing reads `auth` yet."""

    auth: dict[str, Any]
    user_groups: UserGroups
    providers: Providers
    limits: Limits = Limits()
    allowed_origins: list[_Origin] | None = Field(
        None, description="origins whose pages may call and log in; absent: any"
    )


def parse_config(value: Any, to_be_stored: bool = False) -> TenantConfig:
    """Raises Invalid with every fault; in what is to be stored, a name of another form is one."""
    try:
        return TenantConfig.model_validate(value, context=_TO_BE_STORED if to_be_stored else None)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise Invalid("Invalid config", [_detail(fault) for fault in faults]) from None


def _detail(fault: ErrorDetails) -> Detail:
    path = ".".join(str(part)[:100] for part in fault["loc"] if part != "[key]")
    return {"path": path, "message": fault["msg"].removeprefix("Value error, ")}
