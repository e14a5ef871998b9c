"""Bodies of errors: one type for all of our own, one for each protocol's SDKs, and by status which
of them are answered, shown by examples."""

from collections.abc import Sequence
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, with_config
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
    TooManyWrongTokens,
    Unsupported,
)
from server.identity.errors import TooManyClientSecrets, TooManyKeys
from server.login_providers.errors import InvalidIdToken, Reason
from server.metering.errors import NoResponse, NotAllowed, PaymentRequired, TokensHeld
from server.openapi.provider_bodies import AnthropicError, OpenAiError
from server.openapi.route import Route
from server.openapi.schemas import Json, Schemas
from server.providers.ask import MOST_CHOICES
from server.providers.errors import ProviderRefused
from server.providers.wire import WIRES, ProtocolName

_WRONG = f"must be an integer from 1 to {LARGEST}"
_SHAPES: dict[ProtocolName, Any] = {"openai": OpenAiError, "anthropic": AnthropicError}
_EXAMPLES: dict[type[Refusal], Refusal] = {
    Unsupported: Unsupported("n", f"n must be at most {MOST_CHOICES}"),
    NoModel: NoModel("The model 'o1-pro' is not offered here"),
    NoResponse: NoResponse("resp_9f"),
    InvalidIdToken: InvalidIdToken("signature"),
    NotAllowed: NotAllowed("model_not_allowed", "The user's group may not use this model"),
    PaymentRequired: PaymentRequired(29_202, 2_000, 0, {}),
    TokensHeld: TokensHeld(PaymentRequired(29_202, 2_000, 58_000, {})),
    Invalid: Invalid("Invalid request", [{"path": "tokens", "message": _WRONG}]),
    TooManyRequests: TooManyRequests(1000),
    TooManyKeys: TooManyKeys(1000),
    TooManyClientSecrets: TooManyClientSecrets(1000),
    TooManyWrongTokens: TooManyWrongTokens(1000),
    TooManyFaults: TooManyFaults(1000),
    TenantLimited: TenantLimited(1000),
    ProviderRefused: ProviderRefused(
        400, "temperature must be at most 2", "invalid_request_error", None, "temperature"
    ),
}

_Path = Annotated[
    str,
    Field(description="as in `user_groups.anonymous.tokens`; '': the whole", examples=["tokens"]),
]


class Fault(TypedDict):
    path: _Path
    message: Annotated[str, Field(description="what is wrong", examples=[_WRONG])]


@with_config(ConfigDict(json_schema_extra={"examples": [{"error": "Not Found"}]}))
class Error(TypedDict):
    error: Annotated[str, Field(description="what was refused", examples=["Not Found"])]
    tokensLeft: NotRequired[
        Annotated[Tokens, Field(description="the balance, with 402", examples=[3])]
    ]
    tokensHeld: NotRequired[
        Annotated[
            Tokens, Field(ge=1, description="in open holds, with 402, if any are", examples=[40])
        ]
    ]
    reason: NotRequired[
        Annotated[Reason, Field(description="what is wrong with an ID token", examples=["nonce"])]
    ]
    details: NotRequired[
        Annotated[
            list[Fault],
            Field(min_length=1, max_length=MOST_DETAILS, description="the first faults, with 422"),
        ]
    ]
    more: NotRequired[
        Annotated[
            int, Field(ge=1, le=1_000_000, description="faults that are not listed", examples=[3])
        ]
    ]


def content_of(kinds: Sequence[type[Refusal]], route: Route, schemas: Schemas) -> Json:
    """The schema of the bodies of these refusals of a route, with an example of each."""
    shaped = [kind for kind in kinds if route.speaks and not kind.is_native]
    native = [kind for kind in kinds if kind not in shaped]
    shapes = route.error_shapes if shaped else []
    bodies = [_SHAPES[speaks] for speaks in shapes] + ([Error] if native else [])
    # The SDKs' first: clients that are generated take the first type into which a body fits.
    refs = [schemas.of(body) for body in bodies]
    examples = {
        f"{speaks}{kind.__name__}": {"value": WIRES[speaks].error(_example(kind))}
        for speaks in shapes
        for kind in shaped
    }
    # Refusals of one message have one body.
    for kind, shown in {one.message: (kind, one) for kind, one in _examples(native)}.values():
        examples[kind.__name__] = {"value": {"error": shown.message, **shown.extra}}
    return {"schema": refs[0] if len(refs) == 1 else {"oneOf": refs}, "examples": examples}


def _examples(kinds: Sequence[type[Refusal]]) -> list[tuple[type[Refusal], Refusal]]:
    return [(kind, _example(kind)) for kind in kinds]


def _example(kind: type[Refusal]) -> Refusal:
    return _EXAMPLES.get(kind) or kind()
