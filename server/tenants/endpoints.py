"""The endpoints of a tenant's config: the upstreams that its users' calls may go to."""

import re
from functools import cached_property
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from server.providers.wire import ProtocolName
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
    weight: int = Field(1, ge=1, le=1_000, description="tokens charged per token used")


class TextEndpoint(Endpoint):
    """An upstream for chat completions or messages."""

    models: list[Text] = Field([], description="further models to ask it for")
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
    def speaking(self) -> dict[ProtocolName, list[str]]:
        """The names of those that can be asked, in order, by their protocol."""
        found: dict[ProtocolName, list[str]] = {"openai": [], "anthropic": []}
        for name, protocol in self.protocols.items():
            if self.endpoints[name].url is not None:
                found[protocol].append(name)
        return found

    @cached_property
    def offered(self) -> dict[str, tuple[str, str]]:
        """The configured models, by the names that clients see and can ask for: the endpoint's name
        and the model. One that two endpoints have is the second time `endpoint/model`."""
        found: dict[str, tuple[str, str]] = {}
        for name in self.in_order:
            endpoint = self.endpoints[name]
            for model in dict.fromkeys([endpoint.default_model, *endpoint.models]):
                if model:
                    shown = f"{name}/{model}" if model in found else model
                    found.setdefault(shown, (name, model))
        return found

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
