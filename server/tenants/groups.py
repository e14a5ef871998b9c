"""The user groups of a tenant's config: what their users get, and what they may ask for."""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from server.amounts import LARGEST, Tokens
from server.tenants.models import MaxOutput
from server.tenants.strict import GroupName, Strict, Text

MOST_REQUESTS = 10_000
RateLimit = Annotated[int, Field(ge=1, le=MOST_REQUESTS, description="requests per window")]
RateLimitWindow = Annotated[int, Field(ge=1, le=86_400, description="seconds")]


class Group(Strict):
    """What a user of this group gets: a balance, and `rate_limit` requests in a window."""

    tokens: Tokens = Field(description="the balance at login or on a move to this group")
    rate_limit: RateLimit
    rate_limit_window: RateLimitWindow
    models: list[Text] | None = Field(
        None, description="those that it may ask for; absent: all that are offered"
    )
    max_output: MaxOutput | None = Field(
        None, description="output tokens of a provider call, of all its choices together"
    )
    max_input: int | None = Field(
        None, ge=1, le=LARGEST, description="input tokens of a provider call, as estimated"
    )
    concurrent: int | None = Field(
        None, ge=1, le=50, description="a user's provider calls at the same time"
    )
    endpoints: list[Literal["text", "embeddings", "images", "audio", "realtime"]] | None = Field(
        None, description="the kinds of endpoints that it may use; absent: all"
    )
    prompts_only: bool = Field(False, description="no provider calls but by the tenant's prompts")


ANONYMOUS = "anonymous"
"""The group that each new user joins."""


def is_temporary(group: str) -> bool:
    """Do users of this group expire, with their keys? All others are permanent."""
    return group == ANONYMOUS


class UserGroups(Strict):
    """Any groups by name; `anonymous`, which each new user joins, must be one of them."""

    __pydantic_extra__: dict[GroupName, Group]

    anonymous: Group

    def find(self, name: str) -> Group | None:
        return self.anonymous if name == ANONYMOUS else self.__pydantic_extra__.get(name)

    @cached_property
    def by_name(self) -> dict[str, Group]:
        return {ANONYMOUS: self.anonymous, **self.__pydantic_extra__}
