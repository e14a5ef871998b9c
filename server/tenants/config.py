"""What a tenant's config must be."""

from functools import cached_property
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import ErrorDetails

from server.amounts import LARGEST
from server.errors import Detail, Invalid, Unsupported
from server.providers.ask import PROMPT
from server.providers.translation import TRANSLATIONS
from server.tenants.auth import Auth, ProviderName
from server.tenants.endpoints import Providers, TextEndpoints
from server.tenants.groups import UserGroups
from server.tenants.origins import fault_of_origin
from server.tenants.policies import Policies
from server.tenants.prompts import MOST_PATTERNS, Prompt, count_patterns
from server.tenants.strict import TO_BE_STORED, Name, Strict, note_absent


def _checked_origin(origin: str, info: ValidationInfo) -> str:
    # What is stored may be older than this rule, and is served.
    if info.context == TO_BE_STORED and (fault := fault_of_origin(origin)):
        raise ValueError(fault)
    return origin


_Origin = Annotated[
    str,
    StringConstraints(max_length=300),
    AfterValidator(_checked_origin),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[a-z][a-z0-9+.-]{0,20}://[a-z0-9_.:\[\]-]{1,270}$|^null$"}
    ),
]


class Limits(Strict):
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


class TenantConfig(Strict):
    """A tenant: user groups, login methods, providers, prompts."""

    user_groups: UserGroups
    auth: Auth
    providers: Providers
    prompts: dict[Name, Prompt] = Field(
        {}, description="what users may ask for as `prompt/<name>`, without having its text"
    )
    limits: Limits = Limits()
    allowed_origins: list[_Origin] | None = Field(
        None,
        description="origins whose pages may call and log in, as browsers send them; absent: any",
        examples=[["https://app.example.com", "http://localhost:5173"]],
    )

    def login_group(self, provider: ProviderName) -> str | None:
        """Which group they join who sign in there; None where nobody can."""
        return self.auth.login_group(provider, self.user_groups.by_name)

    @cached_property
    def policies(self) -> Policies:
        providers = self.providers
        return Policies(self.user_groups.by_name, providers)

    @field_validator("auth", mode="before")
    @classmethod
    def _absent_if_unusable(cls, auth: Any, info: ValidationInfo) -> Any:
        if info.context == TO_BE_STORED or isinstance(auth, dict):
            return auth
        note_absent("auth", info)
        return {}

    @field_validator("auth")
    @classmethod
    def _fits_the_groups(cls, auth: Auth, info: ValidationInfo) -> Auth:
        groups: UserGroups | None = info.data.get("user_groups")
        if info.context != TO_BE_STORED or groups is None:
            return auth
        if fault := auth.fault(groups.by_name):
            raise ValueError(fault)
        return auth

    @field_validator("prompts", mode="before")
    @classmethod
    def _have_few_patterns(cls, prompts: Any, info: ValidationInfo) -> Any:
        if info.context == TO_BE_STORED and count_patterns(prompts) > MOST_PATTERNS:
            raise ValueError(f"may have {MOST_PATTERNS} different patterns")
        return prompts

    @field_validator("prompts")
    @classmethod
    def _can_be_served(cls, prompts: dict[str, Prompt], info: ValidationInfo) -> dict[str, Prompt]:
        providers = info.data.get("providers")
        if info.context != TO_BE_STORED or providers is None:
            return prompts
        for name, prompt in prompts.items():
            if fault := _fault_of_prompt(name, prompt, providers.text):
                raise ValueError(f"{name}: {fault}")
        return prompts


_ANY_MESSAGES = [{"role": "user", "content": "Any"}]


def _fault_of_prompt(name: str, prompt: Prompt, text: TextEndpoints | None) -> str | None:
    """What keeps it from being served, as far as the config tells."""
    found = text.find(prompt.model) if text is not None else None
    if text is None or found is None:
        return "its model is not offered"
    if text.find(f"{PROMPT}{name}") is not None:
        return "an endpoint's model has this name"
    if text.protocols[found[0]] == "anthropic":
        try:
            TRANSLATIONS["chat", "messages"].request(prompt.request(_ANY_MESSAGES), "")
        except Unsupported as refusal:
            return refusal.message
    return None


def parse_config(
    value: Any, to_be_stored: bool = False, absent: list[str] | None = None
) -> TenantConfig:
    """Raises Invalid with every fault; in what is to be stored, a name of another form is one.

    `absent` gets the names of members that cannot be used, and count as absent where it is stored.
    """
    try:
        return TenantConfig.model_validate(value, context=TO_BE_STORED if to_be_stored else absent)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise Invalid("Invalid config", [_detail(fault) for fault in faults]) from None


_NO_PARTS = ("[key]", "[name]", "[object]")
"""Of pydantic's paths, which the config's have not."""


def _detail(fault: ErrorDetails) -> Detail:
    path = ".".join(str(part)[:100] for part in fault["loc"] if part not in _NO_PARTS)
    return {"path": path, "message": fault["msg"].removeprefix("Value error, ")}
