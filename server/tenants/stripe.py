"""The `auth.stripe` of a tenant's config: what its users can buy.

A plan is a group of users with a subscription; a pack is tokens, bought once.
"""

from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from server.amounts import LARGEST
from server.tenants.redirects import fault_of_web_address
from server.tenants.strict import Name, Strict, Text

PLAN_PREFIX = "stripe_"
"""Of the groups that are plans, where the config names none."""
_MOST_SECRETS = 5
_MOST_OFFERED = 100

_Secret = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]*$", max_length=500)]


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


_Secrets = Annotated[
    list[_Secret],
    Field(max_length=_MOST_SECRETS),
    BeforeValidator(_listed),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": 500},
                {
                    "type": "array",
                    "items": {"type": "string", "maxLength": 500},
                    "maxItems": _MOST_SECRETS,
                },
            ]
        }
    ),
]


def _checked_page(address: str) -> str:
    # Stripe writes the session's ID there.
    if fault := fault_of_web_address(address.replace("{CHECKOUT_SESSION_ID}", "")):
        raise ValueError(fault)
    return address


_Page = Annotated[Text, AfterValidator(_checked_page)]


class Plan(Strict):
    price: Text | None = Field(
        None, description="Stripe's ID; absent: the price whose lookup key is the group's name"
    )


class Pack(Strict):
    price: Text = Field(description="Stripe's ID")
    tokens: int = Field(ge=1, le=LARGEST)


class Stripe(Strict):
    """Without an `api_key` nothing can be bought."""

    api_key: _Secret | None = None
    webhook_secret: _Secrets = Field(
        [], description="one, or up to 5 of which each is good; empty: no events are taken"
    )
    plans: dict[Name, Plan] | None = Field(
        None,
        max_length=_MOST_OFFERED,
        description="by their groups; absent: each group whose name begins with `stripe_`",
    )
    packs: dict[Name, Pack] = Field({}, max_length=_MOST_OFFERED)
    success_url: _Page | None = None
    cancel_url: _Page | None = None
    grace_days: int = Field(
        3, ge=0, le=60, description="that a plan goes on after its period where no event has come"
    )

    @cached_property
    def webhook_secrets(self) -> tuple[str, ...]:
        return tuple(secret for secret in self.webhook_secret if secret)

    def plans_among(self, groups: Iterable[str]) -> dict[str, Plan]:
        """Those plans that are groups of these, by name."""
        if self.plans is not None:
            known = set(groups)
            return {name: plan for name, plan in self.plans.items() if name in known}
        return {name: Plan() for name in groups if name.startswith(PLAN_PREFIX)}

    def plans_outside(self, groups: Collection[str]) -> list[str]:
        """The names of plans that are none of these groups."""
        return [name for name in self.plans or () if name not in groups]
