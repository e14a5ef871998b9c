"""Bodies of embeddings, as far as we read them."""

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from server.openapi.schemas import Json
from server.providers.embeddings import MOST_TOKEN

_Token = Annotated[int, Field(ge=0, le=MOST_TOKEN)]
_Tokens = Annotated[list[_Token], Field(min_length=1, examples=[[9906, 1917]])]
_Text = Annotated[str, Field(min_length=1, examples=["Hello"])]
_ASKED: Json = {"model": "text-embedding-3-small", "input": ["Hello", "Goodbye"]}
_GIVEN: Json = {
    "object": "list",
    "model": "text-embedding-3-small",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.0123, -0.0456]}],
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}


@with_config(ConfigDict(extra="allow", json_schema_extra={"examples": [_ASKED]}))
class NewEmbeddings(TypedDict):
    model: NotRequired[
        Annotated[
            str | None,
            Field(
                description="one that the list of models has, or `<endpoint>/<model>`; absent: "
                "that of the default endpoint"
            ),
        ]
    ]
    input: Annotated[
        _Text | _Tokens | Annotated[list[_Text | _Tokens], Field(min_length=1)],
        Field(description="a text, a list of tokens, or a list of either"),
    ]
    encoding_format: NotRequired[Literal["float", "base64"] | None]
    dimensions: NotRequired[Annotated[int, Field(ge=1, le=100_000)] | None]


@with_config(ConfigDict(extra="allow", json_schema_extra={"examples": [_GIVEN]}))
class EmbeddingList(TypedDict):
    """as the provider gives it"""
