"""What a tenant's config must be."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from server.errors import Detail, Invalid
from server.results import LARGEST

_Tokens = Annotated[int, Field(ge=0, le=LARGEST)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
_Origin = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,300}$")]


class _Config(BaseModel):
    """Strict (no "5" for 5), with members we do not know allowed: they are the tenant's own."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, hide_input_in_errors=True)


class Group(_Config):
    """What a user of this group gets: a balance, and `rate_limit` requests in a window."""

    tokens: _Tokens = Field(description="the balance at login or on a move to this group")
    rate_limit: int = Field(ge=1, le=10_000, description="requests per window")
    rate_limit_window: int = Field(ge=1, le=86_400, description="seconds")


class Endpoint(_Config):
    """One configured upstream."""

    url: _Text | None = None
    api_key: _Text | None = None
    default_model: _Text | None = None
    protocol: Literal["openai", "anthropic"] | None = None
    weight: int = Field(1, ge=1, le=1_000, description="tokens charged per token used")


class Endpoints(_Config):
    """The endpoints of one kind of provider, by name, and the name of the default one."""

    endpoints: dict[_Name, Endpoint] = {}
    default: _Name | None = None

    @field_validator("default")
    @classmethod
    def _exists(cls, default: str | None, info: ValidationInfo) -> str | None:
        if default is not None and default not in info.data.get("endpoints", {default: None}):
            raise ValueError("there is no endpoint of that name")
        return default


class Providers(_Config):
    text: Endpoints | None = None
    realtime: Endpoints | None = None


class UserGroups(_Config):
    """Any groups by name; `anonymous`, which each new user joins, must be one of them."""

    __pydantic_extra__: dict[str, Group]

    anonymous: Group

    def find(self, name: str) -> Group | None:
        return self.anonymous if name == "anonymous" else self.__pydantic_extra__.get(name)


class TenantConfig(_Config):
    """A tenant: login methods, user groups, providers."""

    auth: dict[str, Any]
    user_groups: UserGroups
    providers: Providers
    allowed_origins: list[_Origin] | None = Field(
        None, description="origins whose pages may call; absent: any"
    )


def parse_config(value: Any) -> TenantConfig:
    """Raises Invalid with every fault."""
    try:
        return TenantConfig.model_validate(value)
    except ValidationError as error:
        raise Invalid("Invalid config", [_detail(fault) for fault in error.errors()]) from None


def _detail(fault: ErrorDetails) -> Detail:
    path = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    return {"path": path, "message": fault["msg"].removeprefix("Value error, ")}
