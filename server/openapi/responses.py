"""The responses of a route: its own answers, and its refusals by status."""

from collections.abc import Sequence
from typing import Annotated, Any, NotRequired, get_args, get_origin, get_type_hints

from pydantic import Field
from typing_extensions import TypedDict

from server.amounts import LARGEST, Tokens
from server.errors import (
    MOST_DETAILS,
    Invalid,
    NoModel,
    Refusal,
    TenantLimited,
    TooManyFaults,
    TooManyRequests,
    Unsupported,
)
from server.metering.errors import PaymentRequired, TokensHeld
from server.openapi.headers import LEFT, RATE, headers
from server.openapi.provider_bodies import AnthropicError, OpenAiError
from server.openapi.refusals import REFUSALS, refusals
from server.openapi.route import Answer, Route
from server.openapi.schemas import Json, Schemas, ref
from server.providers.ask import MOST_CHOICES
from server.providers.errors import ProviderError, ProviderRefused, ProviderTimeout
from server.providers.wire import WIRES, ProtocolName
from server.replies import JsonReply

_SHAPES: dict[ProtocolName, Any] = {"openai": OpenAiError, "anthropic": AnthropicError}
_EXAMPLES: dict[type[Refusal], Refusal] = {
    Unsupported: Unsupported("n", f"n must be at most {MOST_CHOICES}"),
    NoModel: NoModel("This tenant has no text provider"),
    PaymentRequired: PaymentRequired(29_202, 2_000, 0, {}),
    TokensHeld: TokensHeld(PaymentRequired(29_202, 2_000, 58_000, {})),
    TooManyRequests: TooManyRequests(1000),
    TooManyFaults: TooManyFaults(1000),
    TenantLimited: TenantLimited(1000),
    ProviderRefused: ProviderRefused(
        400, "temperature must be at most 2", "invalid_request_error", None, "temperature"
    ),
}

# Where a repetition would come too soon, or cost as much again.
_FINAL_AT_TIMES = (TooManyRequests, TenantLimited, TooManyFaults, ProviderError, ProviderTimeout)

_Balance = Annotated[Tokens, Field(description="the balance", examples=[3])]
_Held = Annotated[Tokens, Field(ge=1, description="in open holds, if any are", examples=[40])]
_Path = Annotated[
    str,
    Field(description="as in `user_groups.anonymous.tokens`; '': the whole", examples=["tokens"]),
]
_Wrong = Annotated[
    str,
    Field(description="what is wrong", examples=[f"must be an integer from 1 to {LARGEST}"]),
]


class Fault(TypedDict):
    path: _Path
    message: _Wrong


class Faults(TypedDict):
    error: Annotated[str, Field(description="what was refused", examples=["Invalid request"])]
    details: Annotated[
        list[Fault], Field(min_length=1, max_length=MOST_DETAILS, description="the first faults")
    ]
    more: NotRequired[
        Annotated[
            int, Field(ge=1, le=1_000_000, description="faults that are not listed", examples=[3])
        ]
    ]


def responses(route: Route, schemas: Schemas) -> Json:
    """By status, in its order."""
    found: Json = {}
    by_status: dict[int, list[Answer]] = {}
    for answer in route.doc.answers:
        by_status.setdefault(answer.status, []).append(answer)
    for number, answers in by_status.items():
        bodies = {answer.media_type: _body(answer, route) for answer in answers}
        content = {media_type: schemas.of(body) for media_type, body in bodies.items() if body}
        when = "; or ".join(answer.when for answer in answers)
        found[str(number)] = _response(when, [answer.headers for answer in answers], content)
    for status, kinds in refusals(route).items():
        found.setdefault(status, _refusal(kinds, route, schemas))
    return {status: found[status] for status in sorted(found)}


def _body(answer: Answer, route: Route) -> Any:
    """The type of its body, None if it has none."""
    returned = get_type_hints(route.handler, include_extras=True)["return"]
    of_handler = get_args(returned)[0] if get_origin(returned) is JsonReply else None
    return answer.body or of_handler


def _response(when: str, names: Sequence[Sequence[str]], content: Json) -> Json:
    """One response, which may stand for several replies: `names` are the headers of each of them,
    and those that not all have are optional; `content` is the schemas by media type."""
    found = {"X-Request-ID": ref("X-Request-ID", "headers")}
    for name in dict.fromkeys(name for each in names for name in each):
        in_all = all(name in each for each in names)
        found[name] = ref(name, "headers") if in_all else {**headers()[name], "required": False}
    media = {media_type: {"schema": schema} for media_type, schema in content.items()}
    return {"description": when, "headers": found, **({"content": media} if media else {})}


def _refusal(kinds: Sequence[type[Refusal]], route: Route, schemas: Schemas) -> Json:
    """The response for refusals of one status."""
    shaped = [kind for kind in kinds if route.speaks and not kind.is_native]
    # Refusals of one message have one body.
    native = {kind.message: kind for kind in kinds if kind not in shaped}
    bodies = [_native(kind, schemas) for kind in native.values()]
    if shaped:
        bodies += [_of_sdk(speaks, shaped, schemas) for speaks in route.error_shapes]
    schema = bodies[0]
    if len(bodies) > 1:
        examples = [example for body in bodies for example in body["examples"]]
        schema = {"oneOf": bodies, "examples": examples}
    names = [each for kind in kinds for each in _headers(kind, route)]
    when = "; or ".join(REFUSALS[kind][0] for kind in kinds)
    return _response(when, names, {"application/json": schema})


def _headers(kind: type[Refusal], route: Route) -> list[list[str]]:
    """Those of each of its replies."""
    of_user = route.doc.rated and kind in (TooManyRequests, TenantLimited)
    found = [*REFUSALS[kind][1], *((*RATE, *LEFT) if of_user else ())]
    final = [*found, "X-Should-Retry"]
    if kind in _FINAL_AT_TIMES:
        return [found, final]
    return [final if kind.is_final else found]


def _native(kind: type[Refusal], schemas: Schemas) -> Json:
    """The schema of a refusal's body in our own shape, with its examples."""
    if kind is Invalid:
        schema = schemas.of(Faults)
        return {**schema, "examples": schemas.examples(schema)}
    members: Json = {"error": {"const": kind.message}}
    if kind is PaymentRequired:
        members["tokensLeft"] = schemas.of(_Balance)
    found = {"type": "object", "properties": members, "additionalProperties": False}
    found |= {"required": [*members], "examples": schemas.examples(found)}
    if kind is PaymentRequired:
        members["tokensHeld"] = schemas.of(_Held)
    return found


def _of_sdk(speaks: ProtocolName, kinds: Sequence[type[Refusal]], schemas: Schemas) -> Json:
    """The schema of these refusals for the SDKs of a protocol, with an example of each."""
    shown = [_EXAMPLES.get(kind) or kind() for kind in kinds]
    examples = [WIRES[speaks].error(one) for one in shown]
    return {**schemas.of(_SHAPES[speaks]), "examples": examples}
