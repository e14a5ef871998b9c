"""Bodies of OpenAI's responses, as far as we read them."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from server.openapi.provider_bodies import Limit, ModelAsked, StreamAsked, open_object
from server.openapi.schemas import Json

_ASKED: Json = {"model": "gpt-4o", "input": "Hello", "max_output_tokens": 100}
_SAID: Json = {"type": "output_text", "text": "Hello!", "annotations": []}
_RESPONSE: Json = {
    "id": "resp_9f",
    "object": "response",
    "created_at": 1735689600,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": "gpt-4o",
    "output": [
        {
            "id": "msg_9f",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [_SAID],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 12,
    },
}


@with_config(open_object(_ASKED, {**_ASKED, "stream": True}))
class NewResponse(ModelAsked, StreamAsked):
    input: Annotated[
        str | list[Json],
        Field(
            description="a text, or items: messages, calls of tools, their outputs, reasoning; for "
            "a prompt only if that is a chat"
        ),
    ]
    max_output_tokens: NotRequired[Limit]
    store: NotRequired[
        Annotated[
            bool | None,
            Field(description="false, unless the endpoint allows that responses are stored"),
        ]
    ]
    previous_response_id: NotRequired[
        Annotated[
            str | None,
            Field(description="one of the user's own, where the endpoint allows `store`"),
        ]
    ]


@with_config(open_object(_RESPONSE))
class Response(TypedDict):
    """as the provider gives it, or translated from another of its operations"""


class ResponseEvent(TypedDict):
    event: Annotated[
        str,
        Field(
            description="`response.created` and so on; the last is `response.completed`, "
            "`response.incomplete` or `response.failed`",
            examples=["response.output_text.delta"],
        ),
    ]
    data: Annotated[
        str,
        Field(
            description="JSON with `type`, as `event`, and `sequence_number`; that of the last "
            "event has `vibe`, too: `tokensCharged` and `tokensLeft`. A comment has it before "
            "`response.failed`",
            examples=[
                '{"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_9f",'
                '"output_index":0,"content_index":0,"delta":"Hello!","logprobs":[]}'
            ],
        ),
    ]


class DeletedResponse(TypedDict):
    id: Annotated[str, Field(examples=["resp_9f"])]
    object: Literal["response"]
    deleted: Literal[True]
