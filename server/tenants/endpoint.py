"""What the endpoints of a tenant's config have in common: an upstream, and the models it offers."""

from collections import Counter
from functools import cached_property
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator

from server.tenants.models import (
    ANY,
    THOUSAND,
    MaxOutput,
    Model,
    OfferedModel,
    Weight,
    Weights,
    in_tokens,
    weights_of,
)
from server.tenants.strict import Strict, Text

# What aiohttp and servers take as a header's value alike: no spaces at its ends, ASCII.
Sendable = Annotated[
    str, StringConstraints(pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$", max_length=2048)
]


class Endpoint(Strict):
    """One configured upstream."""

    url: Text | None = None
    api_key: Sendable | None = None
    weight: Weight = Field(
        THOUSAND,
        description="tokens charged per token used, with up to three decimals",
        json_schema_extra={"default": 1},
    )
    models: list[Model] = Field(
        [],
        description="further models that it offers, and what its default one costs; `*`: any may "
        "be asked for, as `<endpoint>/<model>`",
    )
    max_output: MaxOutput = Field(4_096, description="output limit in tokens where a call has none")

    @property
    def first_model(self) -> str | None:
        """The one for requests that name none."""
        raise NotImplementedError

    @cached_property
    def named_models(self) -> dict[str, None]:
        """Those that the config names, in order, the default one first."""
        names = [model if isinstance(model, str) else model.name for model in self.models]
        named = dict.fromkeys([self.first_model or "", *names])
        return {name: None for name in named if name not in ("", ANY)}

    @cached_property
    def takes_any(self) -> bool:
        """May it be asked for models that the config does not name?"""
        return ANY in self.models

    def known(self, model: str) -> str | None:
        """The model to ask it for, None if it does not offer that. Where any may be asked for, one
        that is named counts as itself however it is written: it has a price."""
        if model in self.named_models:
            return model
        if not self.takes_any or model == ANY:
            return None
        return self._folded.get(_fold(model)) or model

    def weights(self, model: str) -> Weights:
        return self._priced.get(model, self._own_weights)

    def limit(self, model: str) -> int:
        """The output limit, in tokens, where a call has none."""
        offered = self._described.get(model)
        return (offered and offered.max_output) or self.max_output

    @cached_property
    def least_cost(self) -> int:
        """Of a token in and a token out, in tokens."""
        weights = [self._own_weights, *self._priced.values()]
        return in_tokens(min(one.of_prompt + one.output for one in weights))

    @cached_property
    def _folded(self) -> dict[str, str]:
        return {_fold(name): name for name in self.named_models}

    @cached_property
    def _own_weights(self) -> Weights:
        return weights_of(self.weight, self.weight, self.weight)

    @cached_property
    def _priced(self) -> dict[str, Weights]:
        return {name: one.weights(self.weight) for name, one in self._described.items()}

    @cached_property
    def _described(self) -> dict[str, OfferedModel]:
        return {one.name: one for one in self.models if isinstance(one, OfferedModel)}

    @field_validator("models")
    @classmethod
    def _say_one_thing(cls, models: list[Model]) -> list[Model]:
        described = [model.name for model in models if isinstance(model, OfferedModel)]
        twice = [name for name, count in Counter(described).items() if count > 1]
        if twice or ANY in described:
            raise ValueError(f"{(twice or [ANY])[0]!r} cannot be described so")
        return models


def is_host(url: str | None, host: str) -> bool:
    """Is the URL's host this one, or one of its regions?"""
    try:
        found = (urlsplit(url or "").hostname or "").rstrip(".")
    except ValueError:
        return False
    return found == host or found.endswith(f".{host}")


def _fold(model: str) -> str:
    return model.strip().casefold()
