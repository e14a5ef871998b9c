"""Bodies of the providers' protocols, as far as we read them, and errors as their SDKs do."""

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from server.amounts import Tokens
from server.openapi.route import Parameter
from server.openapi.schemas import Json
from server.providers.ask import MOST_CHOICES


def open_object(*examples: Json) -> ConfigDict:
    """The config of an object that may have any further members."""
    return ConfigDict(extra="allow", json_schema_extra={"examples": list(examples)})


def _said(role: str, content: str) -> Json:
    return {"role": role, "content": content}


_CHAT = {"model": "gpt-4o", "messages": [_said("user", "Hello")], "max_tokens": 100}
_MESSAGE = {**_CHAT, "model": "claude-3-opus-20240229"}

Limit = Annotated[
    Annotated[Tokens, Field(ge=1)] | None, Field(description="the output limit, in tokens")
]


class ModelAsked(TypedDict):
    model: NotRequired[
        Annotated[
            str | None,
            Field(
                description="one that the list of models has, or `<endpoint>/<model>`; absent: "
                "that of the default endpoint. `prompt/<name>` is a prompt of the tenant's, with "
                "a text for each of its variables in the object `variables`, or `metadata`"
            ),
        ]
    ]


class StreamAsked(TypedDict):
    stream: NotRequired[Annotated[bool | None, Field(description="reply with events")]]


class _Asked(ModelAsked, StreamAsked):
    messages: Annotated[
        list[Json],
        Field(min_length=1, description="for a prompt only if that is a chat; else left out"),
    ]


@with_config(open_object(_CHAT, {**_CHAT, "stream": True}))
class NewChatCompletion(_Asked):
    max_completion_tokens: NotRequired[Limit]
    max_tokens: NotRequired[Limit]
    n: NotRequired[
        Annotated[Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None, Field(description="choices")]
    ]


@with_config(open_object(_MESSAGE, {**_MESSAGE, "stream": True}))
class NewMessage(_Asked):
    max_tokens: NotRequired[
        Annotated[Tokens | None, Field(description="the output limit, in tokens")]
    ]


@with_config(
    open_object(
        {
            "id": "chatcmpl-9f",
            "object": "chat.completion",
            "created": 1735689600,
            "model": "gpt-4o",
            "choices": [
                {"index": 0, "message": _said("assistant", "Hello!"), "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        }
    )
)
class ChatCompletion(TypedDict):
    """as the provider gives it, or translated from the other protocol"""


@with_config(
    open_object(
        {
            "id": "msg_9f",
            "type": "message",
            "role": "assistant",
            "model": "claude-3-opus-20240229",
            "content": [{"type": "text", "text": "Hello!"}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 9, "output_tokens": 3},
        }
    )
)
class Message(TypedDict):
    """as the provider gives it, or translated from the other protocol"""


_CHUNK = """\
{"id":"chatcmpl-9f","object":"chat.completion.chunk","created":1735689600,"model":"gpt-4o",\
"choices":[{"index":0,"delta":{"content":"Hello!"},"finish_reason":null}]}"""


class ChatCompletionEvent(TypedDict):
    event: NotRequired[
        Annotated[Literal["message"], Field(description="the default, which is not sent")]
    ]
    data: Annotated[
        str,
        Field(
            description="a `chat.completion.chunk`; of the last event `[DONE]`. The one with the "
            "usage has `vibe`, too: `tokensCharged` and `tokensLeft`",
            examples=[_CHUNK],
        ),
    ]


class MessageEvent(TypedDict):
    event: Annotated[
        str,
        Field(description="`message_start` to `message_stop`; `error`", examples=["message_stop"]),
    ]
    data: Annotated[
        str,
        Field(
            description="JSON with `type`, as `event`; that of `message_delta`, or else a comment, "
            "has `vibe`: `tokensCharged` and `tokensLeft`",
            examples=['{"type":"message_stop"}'],
        ),
    ]


ANTHROPIC_VERSION = Parameter(
    "anthropic-version",
    "header",
    Annotated[
        str,
        Field(description="passed on to such endpoints, if it is a date", examples=["2023-06-01"]),
    ],
)
ANTHROPIC_BETA = Parameter(
    "anthropic-beta",
    "header",
    Annotated[
        str,
        Field(
            description="passed on to such endpoints, but for those that cost more",
            examples=["interleaved-thinking-2025-05-14"],
        ),
    ],
)

_Balance = Annotated[
    Tokens, Field(description="the balance, where that does not cover the call", examples=[3])
]
_Held = Annotated[Tokens, Field(ge=1, description="in open holds, if any are", examples=[40])]
_SAID = "This call needs at least 12 tokens; 3 are left, 40 are held by other calls"
_Said = Annotated[str, Field(description="for people", examples=[_SAID])]


class _Amounts(TypedDict):
    tokensLeft: NotRequired[_Balance]
    tokensHeld: NotRequired[_Held]


class OpenAiFault(_Amounts):
    message: _Said
    type: Annotated[
        str, Field(description="its kind, in OpenAI's words", examples=["insufficient_quota"])
    ]
    param: Annotated[str | None, Field(description="the member at fault", examples=[None])]
    code: Annotated[str | None, Field(description="what it is", examples=["insufficient_quota"])]


class OpenAiError(_Amounts):
    error: OpenAiFault


class AnthropicFault(_Amounts):
    type: Annotated[
        str, Field(description="its kind, in Anthropic's words", examples=["billing_error"])
    ]
    message: _Said
    code: NotRequired[
        Annotated[
            str, Field(description="what it is, in our words", examples=["insufficient_quota"])
        ]
    ]


class AnthropicError(_Amounts):
    type: Literal["error"]
    error: AnthropicFault
