"""The endpoints of a tenant's config: the upstreams that its users' calls may go to."""

from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from server.errors import NoModel
from server.providers.ask import PROMPT
from server.providers.wire import Operation, ProtocolName
from server.tenants.embeddings import EmbeddingsEndpoint
from server.tenants.endpoint import Endpoint
from server.tenants.realtime import RealtimeEndpoint, RealtimeProtocol, of_http
from server.tenants.strict import TO_BE_STORED, Name, Strict
from server.tenants.text import TextEndpoint

_AnyEndpoint = TypeVar("_AnyEndpoint", bound=Endpoint)


def _not_reserved(name: str, info: ValidationInfo) -> str:
    # What is stored may have it, from before there were prompts, and is served.
    if info.context == TO_BE_STORED and f"{name}/" == PROMPT:
        raise ValueError("the name is reserved for the tenant's prompts")
    return name


_EndpointName = Annotated[Name, AfterValidator(_not_reserved)]


class _Endpoints(Strict, Generic[_AnyEndpoint]):
    endpoints: dict[_EndpointName, _AnyEndpoint] = Field({})
    default: Name | None = None

    @field_validator("default")
    @classmethod
    def _exists(cls, default: str | None, info: ValidationInfo) -> str | None:
        if default is not None and default not in info.data.get("endpoints", {default: None}):
            raise ValueError("there is no endpoint of that name")
        return default

    @cached_property
    def in_order(self) -> list[str]:
        """The names, the default endpoint's first."""
        return sorted(self.endpoints, key=lambda name: name != self.default)

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

    @cached_property
    def configured(self) -> frozenset[tuple[str, str]]:
        """The configured models, each with its endpoint's name before it."""
        return frozenset(self.offered.values())

    def find(self, model: str) -> tuple[str, str] | None:
        """The endpoint's name, and the model as that knows it, by a name that clients ask for;
        None if it is not offered."""
        if model in self.offered:  # what the list of models says comes first
            return self.offered[model]
        name, slash, rest = model.partition("/")
        endpoint = self.endpoints.get(name) if slash else None
        if endpoint is None:
            return None
        known = endpoint.known(rest) if rest else endpoint.first_model
        return (name, known) if known else None


class TextEndpoints(_Endpoints[TextEndpoint]):
    """The text endpoints by name, the name of the default one, and those to fall back on."""

    fallback: list[Name] = Field(
        [], description="names of endpoints, tried in this order when another one fails"
    )

    @cached_property
    def protocols(self) -> dict[str, ProtocolName]:
        """By the names of the endpoints, in order."""
        return {name: self.endpoints[name].speaks(name) for name in self.in_order}

    @cached_property
    def remembered(self) -> dict[tuple[str, str], Any]:
        """What has been found for an operation and a model's name, for whoever finds it."""
        return {}

    @field_validator("fallback")
    @classmethod
    def _exist(cls, fallback: list[str], info: ValidationInfo) -> list[str]:
        unknown = set(fallback) - set(info.data.get("endpoints", fallback))
        if unknown:
            raise ValueError(f"there is no endpoint {min(unknown)!r}")
        return fallback


class EmbeddingsEndpoints(_Endpoints[EmbeddingsEndpoint]):
    """The embeddings endpoints by name, and the name of the default one. There is none to fall back
    on: vectors of different models cannot be compared."""


class RealtimeEndpoints(_Endpoints[RealtimeEndpoint]):
    """The realtime endpoints by name, and the name of the default one."""

    @cached_property
    def protocols(self) -> dict[str, RealtimeProtocol]:
        """By the names of the endpoints, in order."""
        return {name: self.endpoints[name].speaks(name) for name in self.in_order}

    def find(self, model: str) -> tuple[str, str] | None:
        """Of an Ultravox endpoint without a model, `<endpoint>/` is what the provider chooses."""
        found, name = super().find(model), model.removesuffix("/")
        if found is None and name != model and self.protocols.get(name) == "ultravox":
            return name, ""
        return found

    def first(self, protocol: RealtimeProtocol) -> str | None:
        """The endpoint for those who name none: the default one, if it speaks this protocol, else
        the first that does; None if none does."""
        return next((name for name in self.in_order if self.protocols[name] == protocol), None)


def for_websockets(realtime: RealtimeEndpoints | None) -> tuple[RealtimeEndpoints, str]:
    """The endpoints of a tenant, and the first that has a WebSocket. Raises NoModel."""
    first = realtime.first("openai") if realtime is not None else None
    if realtime is None or first is None:
        raise NoModel("This tenant has no realtime provider for WebSockets")
    return realtime, first


def not_offered(model: str) -> NoModel:
    return NoModel(f"The realtime model {model[:100]!r} is not offered here")


class Providers(Strict):
    """The endpoints by what they are for."""

    text: TextEndpoints | None = None
    embeddings: EmbeddingsEndpoints | None = None
    realtime: RealtimeEndpoints | None = None

    def asked_for(self, operation: Operation) -> TextEndpoints | EmbeddingsEndpoints | None:
        return self.embeddings if operation == "embeddings" else self.text

    def urls(self) -> dict[str, str]:
        """The configured URLs by their paths in the config, as they are of HTTP."""
        found: dict[str, str] = {}
        if self.text:
            for name, text in self.text.endpoints.items():
                for member in ("url", "responses_url", "moderations_url"):
                    if (url := getattr(text, member)) is not None:
                        found[f"providers.text.endpoints.{name}.{member}"] = url
        if self.embeddings:
            for name, embeddings in self.embeddings.endpoints.items():
                if embeddings.url is not None:
                    found[f"providers.embeddings.endpoints.{name}.url"] = embeddings.url
        if self.realtime:
            for name, realtime in self.realtime.endpoints.items():
                if realtime.url is not None:
                    found[f"providers.realtime.endpoints.{name}.url"] = of_http(realtime.url)
        return found

    def count_endpoints(self) -> int:
        kinds = (self.text, self.embeddings, self.realtime)
        return sum(len(kind.endpoints) for kind in kinds if kind)
