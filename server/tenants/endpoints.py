"""The endpoints of a tenant's config: the upstreams that its users' calls may go to."""

import re
from collections import Counter
from functools import cached_property
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

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
)
from server.tenants.strict import Name, Strict, Text

# What aiohttp and servers take as a header's value alike: no spaces at its ends, ASCII.
_Sendable = Annotated[
    str, StringConstraints(pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$", max_length=2048)
]

_OPENAI = re.compile(r"https?://api\.openai\.com(?![\w.-])", re.IGNORECASE)


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
        return self._folded.get(_fold(model), model) if self.takes_any and model != ANY else None

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
        return Weights(self.weight, self.weight, self.weight)

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

    @cached_property
    def effective_limit_field(self) -> Literal["max_tokens", "max_completion_tokens"]:
        """The member of a chat completion request that bounds its output.

        OpenAI's newer models refuse `max_tokens`; other hosts may not know the other.
        """
        if self.limit_field is not None:
            return self.limit_field
        return "max_completion_tokens" if _OPENAI.match(self.url or "") else "max_tokens"


def _fold(model: str) -> str:
    return model.strip().casefold()


_AnyEndpoint = TypeVar("_AnyEndpoint", bound=Endpoint)


class _Endpoints(Strict, Generic[_AnyEndpoint]):
    endpoints: dict[Name, _AnyEndpoint] = Field({})
    default: Name | None = None

    @field_validator("default")
    @classmethod
    def _exists(cls, default: str | None, info: ValidationInfo) -> str | None:
        if default is not None and default not in info.data.get("endpoints", {default: None}):
            raise ValueError("there is no endpoint of that name")
        return default


class TextEndpoints(_Endpoints[TextEndpoint]):
    """The text endpoints by name, the name of the default one, and those to fall back on."""

    fallback: list[Name] = Field(
        [], description="names of endpoints, tried in this order when another one fails"
    )

    @cached_property
    def in_order(self) -> list[str]:
        """The names, the default endpoint's first."""
        return sorted(self.endpoints, key=lambda name: name != self.default)

    @cached_property
    def protocols(self) -> dict[str, ProtocolName]:
        """By the names of the endpoints, in order."""
        return {name: self.endpoints[name].speaks(name) for name in self.in_order}

    @cached_property
    def least_cost(self) -> int:
        """What a call costs at least, in tokens, whatever it asks for."""
        return min((endpoint.least_cost for endpoint in self.endpoints.values()), default=1)

    @cached_property
    def offered(self) -> dict[str, tuple[str, str]]:
        """The configured models, by the names that clients see and can ask for: the endpoint's name
        and the model. One that two endpoints have is the second time `endpoint/model`."""
        found: dict[str, tuple[str, str]] = {}
        for name in self.in_order:
            endpoint = self.endpoints[name]
            for model in endpoint.named_models:
                shown = f"{name}/{model}" if model in found else model
                found.setdefault(shown, (name, model))
        return found

    def find(self, model: str) -> tuple[str, str] | None:
        """The endpoint's name, and the model as that knows it, by a name that clients ask for;
        None if it is not offered."""
        if model in self.offered:  # what the list of models says comes first
            return self.offered[model]
        name, slash, rest = model.partition("/")
        endpoint = self.endpoints.get(name) if slash else None
        if endpoint is None:
            return None
        known = endpoint.known(rest) if rest else endpoint.default_model
        return (name, known) if known else None

    @field_validator("fallback")
    @classmethod
    def _exist(cls, fallback: list[str], info: ValidationInfo) -> list[str]:
        unknown = set(fallback) - set(info.data.get("endpoints", fallback))
        if unknown:
            raise ValueError(f"there is no endpoint {min(unknown)!r}")
        return fallback


class RealtimeEndpoints(_Endpoints[Endpoint]):
    """The realtime endpoints by name, and the name of the default one."""


class Providers(Strict):
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
