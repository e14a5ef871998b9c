"""What a route is documented by: a Doc beside its handler, and the handler's signature."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from server.errors import Refusal
from server.providers.wire import ProtocolName

Area = Literal["Server", "Login", "Metering", "Billing", "Gateway", "Administration"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that is no refusal. `body` is the type of its body, where that is not what the
    handler's signature says (`JsonReply[User]`).
    """

    when: str
    body: Any = None
    status: int = 200
    headers: Sequence[str] = ()
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a request may have in its query or headers; `value` is its type, which describes it."""

    name: str
    place: Literal["query", "header"]
    value: Any
    required: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Doc:
    """What is said of a route, as `ctx_doc` where it is registered. A second address has none.

    `body` is a type; `refusals` are those that do not follow from path, credential and body;
    `credential`: `any key` may be a restricted one; `rated`: replies carry the user's rate limit.
    """

    area: Area
    summary: str
    answers: Sequence[Answer]
    about: str = ""
    credential: Literal["user", "any key", "admin"] | None = None
    parameters: Sequence[Parameter] = ()
    body: Any = None
    body_required: bool = True
    refusals: Sequence[type[Refusal]] = ()
    rated: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the app. `endpoint` is method and path, as in `POST /{tenantId}/charges`; `name`
    what its handler is called; `speaks`: the protocol whose SDKs read its errors.
    """

    endpoint: str
    name: str
    handler: Callable[..., Any]
    doc: Doc
    speaks: ProtocolName | None

    @property
    def method(self) -> str:
        return self.endpoint.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.endpoint.partition(" ")[2]

    @property
    def error_shapes(self) -> list[ProtocolName]:
        """The protocols in which it refuses: both where the SDKs of both ask for the same."""
        if self.speaks is None:
            return []
        return ["openai", "anthropic"] if self.method == "GET" else [self.speaks]


def camel_case(name: str) -> str:
    """A name of Python's as JSON and the paths have it."""
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
