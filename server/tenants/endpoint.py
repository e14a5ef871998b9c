"""An endpoint of a tenant's config: an upstream, what it offers, and what may be asked of it."""

import re
from collections import Counter
from functools import cached_property
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from orjson import JSONEncodeError
from pydantic import Field, StringConstraints, field_validator

from server.providers.estimate import measure
from server.providers.options import is_search_model
from server.providers.wire import ProtocolName
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
_Sendable = Annotated[
    str, StringConstraints(pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$", max_length=2048)
]

_OF_THE_GATEWAY = frozenset(
    {"max_completion_tokens", "max_tokens", "messages", "model", "n", "stream", "stream_options"}
)


class Endpoint(Strict):
    """One configured upstream."""

    url: Text | None = None
    api_key: _Sendable | None = None
    default_model: Text | None = None
    protocol: ProtocolName | None = None
    weight: Weight = Field(
        THOUSAND,
        description="tokens charged per token used, with up to three decimals",
        json_schema_extra={"default": 1},
    )


class TextEndpoint(Endpoint):
    """An upstream for chat completions or messages."""

    models: list[Model] = Field(
        [],
        description="further models that it offers, and what its `default_model` costs; `*`: any "
        "may be asked for, as `<endpoint>/<model>`",
    )
    max_output: MaxOutput = Field(4_096, description="output limit in tokens where a call has none")
    limit_field: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        None, description="what it calls the output limit; absent: by its host"
    )
    image_tokens: int = Field(1_600, ge=0, le=1_000_000, description="tokens that an image costs")
    reasoning: bool | None = Field(
        None,
        description="whether its models may reason without being asked to; absent: all may but "
        "those that are known not to",
    )
    takes_stream_options: bool = Field(
        True, description="its streams are asked for their usage, by `stream_options`"
    )
    returns_state: bool = Field(
        True,
        description="gets back in the next turn what it gave for it: reasoning, signatures of "
        "thoughts",
    )
    unbounded: bool = Field(False, description="takes what may cost more than can be known before")
    allow: list[Text] = Field(
        [], description="members and betas that may change what a call costs or what is kept of it"
    )
    force: dict[str, Any] = Field(
        {}, description="members of its requests, whatever a client says; null: none"
    )

    def speaks(self, name: str) -> ProtocolName:
        """The protocol of the endpoint of this name."""
        if self.protocol is not None:
            return self.protocol
        path = re.split("[?#]", self.url or "")[0]
        is_anthropic = name == "anthropic" or path.endswith("/v1/messages")
        return "anthropic" if is_anthropic else "openai"

    @cached_property
    def named_models(self) -> dict[str, None]:
        """Those that the config names, in order, the default one first."""
        names = [model if isinstance(model, str) else model.name for model in self.models]
        named = dict.fromkeys([self.default_model or "", *names])
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
        named = self._folded.get(_fold(model))
        if named is None and is_search_model(model) and model not in self.allow:
            return None
        return named or model

    @cached_property
    def allowed(self) -> frozenset[str]:
        """Members that are not the client's to be refused: what is forced is not the client's."""
        return frozenset({*self.allow, *self.force})

    @cached_property
    def is_of_openai(self) -> bool:
        return _is_host(self.url, "api.openai.com")

    @cached_property
    def is_own_host(self) -> bool:
        """Is it one of those who made the protocols?"""
        return self.is_of_openai or _is_host(self.url, "api.anthropic.com")

    @cached_property
    def forced_size(self) -> int:
        """Bytes of prompt."""
        return measure(self.force).size

    def weights(self, model: str) -> Weights:
        return self._priced.get(model, self._own_weights)

    def limit(self, model: str) -> int:
        """The output limit, in tokens, where a call has none."""
        offered = self._described.get(model)
        return (offered and offered.max_output) or self.max_output

    @cached_property
    def _folded(self) -> dict[str, str]:
        return {_fold(name): name for name in self.named_models}

    @cached_property
    def least_cost(self) -> int:
        """Of a token in and a token out, in tokens."""
        weights = [self._own_weights, *self._priced.values()]
        return in_tokens(min(one.of_prompt + one.output for one in weights))

    @cached_property
    def _own_weights(self) -> Weights:
        return weights_of(self.weight, self.weight, self.weight)

    @cached_property
    def _priced(self) -> dict[str, Weights]:
        return {name: one.weights(self.weight) for name, one in self._described.items()}

    @cached_property
    def _described(self) -> dict[str, OfferedModel]:
        return {one.name: one for one in self.models if isinstance(one, OfferedModel)}

    @field_validator("force")
    @classmethod
    def _are_its_own(cls, force: dict[str, Any]) -> dict[str, Any]:
        if ours := _OF_THE_GATEWAY & force.keys():
            raise ValueError(f"{min(ours)} is set for each call, and cannot be forced")
        try:
            measure(force)
        except JSONEncodeError:  # what others have stored may be nested more deeply than is sent
            raise ValueError("is nested too deeply") from None
        return force

    @field_validator("models")
    @classmethod
    def _say_one_thing(cls, models: list[Model]) -> list[Model]:
        described = [model.name for model in models if isinstance(model, OfferedModel)]
        twice = [name for name, count in Counter(described).items() if count > 1]
        if twice or ANY in described:
            raise ValueError(f"{(twice or [ANY])[0]!r} cannot be described so")
        return models

    @cached_property
    def effective_limit_field(self) -> Literal["max_tokens", "max_completion_tokens"]:
        """The member of a chat completion request that bounds its output.

        OpenAI's newer models refuse `max_tokens`; other hosts may not know the other.
        """
        if self.limit_field is not None:
            return self.limit_field
        return "max_completion_tokens" if self.is_of_openai else "max_tokens"


def _is_host(url: str | None, host: str) -> bool:
    """Is the URL's host this one, or one of its regions?"""
    try:
        found = (urlsplit(url or "").hostname or "").rstrip(".")
    except ValueError:
        return False
    return found == host or found.endswith(f".{host}")


def _fold(model: str) -> str:
    return model.strip().casefold()
