"""What users may set of an Ultravox call. All else is the tenant's, or would cost without bound."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, with_config
from typing_extensions import TypedDict

from server.structure import is_too_deep
from server.tenants.realtime import LEAST_SECONDS

_STRICT = ConfigDict(strict=True, extra="forbid")
_Text = Annotated[str, Field(max_length=100_000, examples=["Hello"])]
_Short = Annotated[str, Field(max_length=1_000, examples=["en"])]
_Flag = Annotated[bool, Field(examples=[True])]
_Duration = Annotated[
    str,
    Field(pattern=r"^[0-9]{1,5}(\.[0-9]{1,9})?s$", description="seconds", examples=["30s"]),
]

_EndBehavior = Annotated[
    Literal["END_BEHAVIOR_UNSPECIFIED", "END_BEHAVIOR_HANG_UP_SOFT", "END_BEHAVIOR_HANG_UP_STRICT"],
    Field(examples=["END_BEHAVIOR_HANG_UP_SOFT"]),
]
_OutputMedium = Annotated[
    Literal["MESSAGE_MEDIUM_VOICE", "MESSAGE_MEDIUM_TEXT"], Field(examples=["MESSAGE_MEDIUM_VOICE"])
]


@with_config(_STRICT)
class InitialMessage(TypedDict):
    role: Annotated[
        Literal["MESSAGE_ROLE_USER", "MESSAGE_ROLE_AGENT"], Field(examples=["MESSAGE_ROLE_USER"])
    ]
    text: _Text


@with_config(_STRICT)
class Utterance(TypedDict, total=False):
    text: _Text
    prompt: _Text
    delay: _Duration
    uninterruptible: _Flag


@with_config(_STRICT)
class UserFirst(TypedDict, total=False):
    fallback: Utterance


@with_config(_STRICT)
class FirstSpeaker(TypedDict, total=False):
    agent: Utterance
    user: UserFirst


@with_config(_STRICT)
class VadSettings(TypedDict, total=False):
    turnEndpointDelay: _Duration
    minimumTurnDuration: _Duration
    minimumInterruptionDuration: _Duration
    frameActivationThreshold: Annotated[float, Field(ge=0, le=1, examples=[0.1])]


@with_config(_STRICT)
class InactivityMessage(TypedDict):
    duration: _Duration
    message: _Text
    endBehavior: NotRequired[_EndBehavior]


def _checked_schema(schema: dict[str, Any]) -> dict[str, Any]:
    if is_too_deep(schema):
        raise ValueError("is nested too deeply")
    return schema


_Schema = Annotated[
    dict[str, Any], AfterValidator(_checked_schema), Field(examples=[{"type": "string"}])
]


@with_config(_STRICT)
class ToolParameter(TypedDict):
    name: _Short
    location: Literal["PARAMETER_LOCATION_BODY"]
    schema: _Schema
    required: NotRequired[_Flag]


@with_config(_STRICT)
class NoMembers(TypedDict):
    pass


@with_config(_STRICT)
class ClientTool(TypedDict):
    modelToolName: _Short
    description: _Text
    dynamicParameters: NotRequired[list[ToolParameter]]
    timeout: NotRequired[_Duration]
    client: NoMembers


@with_config(_STRICT)
class SelectedTool(TypedDict):
    temporaryTool: Annotated[ClientTool, Field(description="one that the app itself has")]


@with_config(_STRICT)
class CallOptions(TypedDict, total=False):
    """As Ultravox's own API has them, but for `medium`."""

    systemPrompt: _Text
    temperature: Annotated[float, Field(ge=0, le=1, examples=[0.3])]
    languageHint: _Short
    initialMessages: list[InitialMessage]
    firstSpeakerSettings: FirstSpeaker
    initialOutputMedium: _OutputMedium
    vadSettings: VadSettings
    inactivityMessages: list[InactivityMessage]
    selectedTools: list[SelectedTool]
    medium: Annotated[
        Literal["webrtc", "websocket"],
        Field(
            description="how it is joined",
            examples=["webrtc"],
            json_schema_extra={"default": "webrtc"},
        ),
    ]


@with_config(_STRICT)
class NewCall(CallOptions):
    endpoint: NotRequired[
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=64,
                description="one of the tenant's; absent: the default one, or the first",
                examples=["ultravox"],
            ),
        ]
    ]
    maxSeconds: NotRequired[
        Annotated[
            int,
            Field(
                ge=LEAST_SECONDS,
                le=86_400,
                description="that it may last; it is cut to what endpoint and balance allow",
                examples=[300],
            ),
        ]
    ]
