"""What the OpenAPI document says of the gateway: its routes, bodies, and errors for the SDKs."""

from collections.abc import Sequence
from typing import Any

from server.amounts import LARGEST
from server.errors import (
    NoModel,
    Overloaded,
    PaymentRequired,
    ProviderAuthError,
    ProviderBusy,
    ProviderError,
    ProviderQuota,
    ProviderRefused,
    ProviderTimeout,
    Refusal,
    TooManyRequests,
    Unsupported,
)
from server.openapi.parts import Json, closed, ref, text, tokens
from server.openapi.routes import RATE, Reply, Route
from server.providers.ask import MOST_CHOICES
from server.providers.wire import WIRES, Name

SPENT = ("X-Tokens-Charged", "X-Tokens-Left")
ABOUT = """\
The providers' own routes, for their SDKs, metered. Base URL of OpenAI's SDKs: \
`http://host/<tenantId>/v1`; of Anthropic's: `http://host/<tenantId>` (`/v1/v1/...` answers too). \
Refusals have the shape that the SDKs read, but for those of the request's form and size and of \
the tenant's ID; `request-id` repeats `X-Request-ID`."""

_SHAPES: dict[Name, str] = {"openai": "OpenAiError", "anthropic": "AnthropicError"}
_CALL_REFUSALS = (
    *(Unsupported, NoModel, PaymentRequired, TooManyRequests, ProviderRefused, ProviderBusy),
    *(ProviderError, ProviderAuthError, ProviderQuota, ProviderTimeout, Overloaded),
)
_COST = """\
Tokens are held for the prompt and the output limit, and settled to what the provider reports, \
times the endpoint's `weight`. The output limit is cut to what the balance affords; 402 where that \
is less than one token. Members that are not shown here are passed on, or translated where the \
endpoint speaks the other protocol; what cannot be, is refused with 400 and named."""


def routes() -> list[Route]:
    return [
        Route(
            "POST /{tenantId}/v1/chat/completions",
            "chat",
            "A chat completion, in OpenAI's shape",
            [
                Reply("the completion", "ChatCompletion", headers=(*RATE, *SPENT)),
                _streamed("ChatCompletionEvent"),
            ],
            about=f"{_COST} All members: `platform.openai.com/docs/api-reference/chat`.",
            credential="user",
            body="NewChatCompletion",
            refusals=_CALL_REFUSALS,
            rated=True,
            speaks="openai",
        ),
        Route(
            "POST /{tenantId}/v1/messages",
            "message",
            "A message, in Anthropic's shape",
            [Reply("the message", "Message", headers=(*RATE, *SPENT)), _streamed("MessageEvent")],
            about=f"{_COST} All members: `platform.claude.com/docs/en/api/messages`.",
            credential="user",
            parameters=["anthropic-version", "anthropic-beta"],
            body="NewMessage",
            refusals=_CALL_REFUSALS,
            rated=True,
            speaks="anthropic",
        ),
        Route(
            "GET /{tenantId}/v1/models",
            "listModels",
            "The configured models",
            [Reply("the models; in Anthropic's shape with `anthropic-version`", "Models")],
            about="Not rate limited, and answers at a balance of 0 too.",
            credential="user",
            parameters=["anthropic-version"],
            speaks="openai",
        ),
    ]


def _streamed(schema: str) -> Reply:
    when = "with `stream`, server-sent events as they come, of which a failure is the last"
    return Reply(when, schema, headers=RATE, media_type="text/event-stream")


def errors(speaks: Name, kinds: Sequence[type[Refusal]]) -> Json:
    """The schema of these refusals for the SDKs of a protocol, with an example of each."""
    shown = [_EXAMPLES.get(kind) or kind() for kind in kinds]
    return {**ref(_SHAPES[speaks]), "examples": [WIRES[speaks].error(one) for one in shown]}


_EXAMPLES: dict[type[Refusal], Refusal] = {
    Unsupported: Unsupported("n", f"n must be at most {MOST_CHOICES}"),
    NoModel: NoModel("This tenant has no text provider"),
    PaymentRequired: PaymentRequired(3, {}),
    TooManyRequests: TooManyRequests(1000),
    ProviderRefused: ProviderRefused(
        400, "temperature must be at most 2", "invalid_request_error", None, "temperature"
    ),
}


def schemas() -> dict[str, Json]:
    """components/schemas, as far as only the gateway has them."""
    limit, choices = _count("the output limit, in tokens", 1), _count("choices", 1, MOST_CHOICES)
    return {
        "NewChatCompletion": _open(
            {**_asked(), "max_completion_tokens": limit, "max_tokens": limit, "n": choices},
            {"model": "gpt-4o", "messages": [_said("user", "Hello")], "max_tokens": 100},
        ),
        "NewMessage": _open(
            {**_asked(), "max_tokens": _count("the output limit, in tokens", 0)},
            {
                "model": "claude-3-opus-20240229",
                "messages": [_said("user", "Hello")],
                "max_tokens": 100,
            },
        ),
        "ChatCompletion": _of_provider(_CHAT_COMPLETION),
        "Message": _of_provider(_MESSAGE),
        "ChatCompletionEvent": closed(
            {
                "event": {"const": "message", "description": "the default, which is not sent"},
                "data": text("a `chat.completion.chunk`; of the last event `[DONE]`", _CHUNK),
            },
            ["event"],
        ),
        "MessageEvent": closed(
            {
                "event": text("`message_start` to `message_stop`; `error`", "message_stop"),
                "data": text("JSON with `type`, as `event`", '{"type":"message_stop"}'),
            }
        ),
        "Models": _models(),
        "OpenAiError": _openai_error(),
        "AnthropicError": _anthropic_error(),
    }


def _asked() -> Json:
    model = "as configured, or `<endpoint>/<model>`; absent: that of the default endpoint"
    return {
        "model": {"type": ["string", "null"], "description": model},
        "messages": {"type": "array", "items": {"type": "object"}, "minItems": 1},
        "stream": {"type": ["boolean", "null"], "description": "reply with events"},
    }


def _count(description: str, least: int, most: int = LARGEST) -> Json:
    bounds = {"type": ["integer", "null"], "minimum": least, "maximum": most}
    return {**bounds, "description": description}


def _open(members: Json, example: Json) -> Json:
    """A request with any further members; its example, not streamed and streamed."""
    return {
        "type": "object",
        "properties": members,
        "required": ["messages"],
        "additionalProperties": True,
        "examples": [example, {**example, "stream": True}],
    }


def _of_provider(example: Json) -> Json:
    about = "as the provider gives it, or translated from the other protocol"
    return {"type": "object", "description": about, "examples": [example]}


def _said(role: str, content: str) -> Json:
    return {"role": role, "content": content}


_CHAT_COMPLETION: Json = {
    "id": "chatcmpl-9f",
    "object": "chat.completion",
    "created": 1735689600,
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": _said("assistant", "Hello!"), "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}
_MESSAGE: Json = {
    "id": "msg_9f",
    "type": "message",
    "role": "assistant",
    "model": "claude-3-opus-20240229",
    "content": [{"type": "text", "text": "Hello!"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 3},
}
_CHUNK = """\
{"id":"chatcmpl-9f","object":"chat.completion.chunk","created":1735689600,"model":"gpt-4o",\
"choices":[{"index":0,"delta":{"content":"Hello!"},"finish_reason":null}]}"""


def _models() -> Json:
    name = text("what to ask for", "gpt-4o")
    owner = text("its endpoint", "openai")
    created = {"const": 0}
    of_openai = {"id": name, "object": {"const": "model"}, "created": created, "owned_by": owner}
    epoch = {"const": "1970-01-01T00:00:00Z"}
    kind = {"const": "model"}
    of_anthropic = {"type": kind, "id": name, "display_name": name, "created_at": epoch}
    edge = _or_null(name)
    both = [
        closed({"object": {"const": "list"}, "data": _list(of_openai)}),
        closed(
            {
                "data": _list(of_anthropic),
                "has_more": {"const": False},
                "first_id": edge,
                "last_id": edge,
            }
        ),
    ]
    return {"oneOf": both, "examples": [example for one in both for example in one["examples"]]}


def _list(members: Json) -> Json:
    item = closed(members)
    return {"type": "array", "items": item, "examples": [item["examples"]]}


def _openai_error() -> Json:
    error = {
        "message": text("for people", "Payment Required"),
        "type": text("its kind, in OpenAI's words", "insufficient_quota"),
        "param": _or_null(text("the member at fault", "n"), None),
        "code": _or_null(text("what it is", "insufficient_quota")),
    }
    return _error({"error": closed(error)})


def _anthropic_error() -> Json:
    error = {
        "type": text("its kind, in Anthropic's words", "billing_error"),
        "message": text("for people", "Payment Required"),
        "code": text("what it is, in our words", "insufficient_quota"),
    }
    return _error({"type": {"const": "error"}, "error": closed(error, ["code"])})


def _error(members: Json) -> Json:
    left = tokens("the balance, with 402", 3)
    return closed({**members, "tokensLeft": left}, ["tokensLeft"])


def _or_null(schema: Json, *example: Any) -> Json:
    examples = [*example] or schema["examples"]
    return {**schema, "type": [schema["type"], "null"], "examples": examples}
