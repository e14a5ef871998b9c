"""Clients that speak OpenAI's chat completions, providers that speak Anthropic's messages."""

import copy
from itertools import pairwise
from typing import Any

import orjson
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given
from pydantic import TypeAdapter

from server.errors import Unsupported
from server.providers.for_chat.request import to_messages
from tests.arbitrary import damaged, json_objects

Json = Any

HI: list[Json] = [{"role": "user", "content": "Hi"}]
HI_TURN = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
TOOL = {"type": "function", "function": {"name": "look"}}
ENDS_WITH_THE_SYSTEM = [
    {"role": "assistant", "content": "A"},
    {"role": "system", "content": "B"},
]

REQUEST: dict[str, Json] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "In French."}]},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "What is on these?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
                {
                    "type": "image_url",
                    "image_url": {"url": "https://images.example/a.jpg", "detail": "low"},
                },
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"at":1}'},
                },
                {"id": "call_2", "type": "function", "function": {"name": "ask", "arguments": ""}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
        {"role": "user", "content": "Now?"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "a dog"}]},
    ],
    "max_completion_tokens": 100,
    "stop": ["END", ""],
    "temperature": 0.5,
    "top_p": 0.9,
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "Looks.",
                "parameters": {"type": "object", "properties": {"at": {"type": "integer"}}},
                "strict": True,
            },
        },
        {"type": "function", "function": {"name": "ask", "strict": None}},
    ],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "parallel_tool_calls": False,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "strict": True, "schema": {"type": "object"}},
    },
    "reasoning_effort": "high",
    "user": "u-1",
    "stream": True,
    "stream_options": {"include_usage": True},
    "seed": 7,
}

TRANSLATED: dict[str, Json] = {
    "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "In French."}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is on these?"},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"},
                },
                {
                    "type": "image",
                    "source": {"type": "url", "url": "https://images.example/a.jpg"},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": 1}},
                {"type": "tool_use", "id": "call_2", "name": "ask", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "call_1",
                    "content": [{"type": "text", "text": "a cat"}],
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "call_2",
                    "content": [{"type": "text", "text": "a dog"}],
                },
                {"type": "text", "text": "Now?"},
            ],
        },
    ],
    "tools": [
        {
            "name": "look",
            "description": "Looks.",
            "input_schema": {"type": "object", "properties": {"at": {"type": "integer"}}},
            "strict": True,
        },
        {"name": "ask", "input_schema": {"type": "object", "properties": {}}},
    ],
    "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "top_p": 0.9,
    "output_config": {
        "effort": "high",
        "format": {"type": "json_schema", "schema": {"type": "object"}},
    },
}


def without_messages(chat: Json) -> Json:
    """What is made of these members beside a plain message."""
    sent = to_messages({"messages": HI, **chat})
    assert sent.pop("messages") == [HI_TURN]
    return sent


def turns(*messages: Json) -> Json:
    return to_messages({"messages": list(messages)})["messages"]


def test_a_request_with_everything() -> None:
    before = copy.deepcopy(REQUEST)
    sent = to_messages(REQUEST)
    assert sent == TRANSLATED
    assert before == REQUEST, "the fallbacks need it as it was"
    sampling = {"temperature", "top_p"}  # of version 2023-06-01, which the SDK no longer knows
    known = {name: value for name, value in sent.items() if name not in sampling}
    assert known.keys() <= MessageCreateParamsNonStreaming.__annotations__.keys()
    adapter = TypeAdapter(MessageCreateParamsNonStreaming)
    adapter.validate_python({**known, "model": "m", "max_tokens": 1})


@pytest.mark.parametrize(
    ("chat", "sent"),
    [
        ({}, {}),
        (dict.fromkeys(REQUEST.keys() - {"messages"}), {}),
        ({"temperature": 2}, {}),
        ({"temperature": 1, "top_p": 1.0}, {}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ""}, {}),
        ({"reasoning_effort": "none"}, {}),
        ({"reasoning_effort": "minimal"}, {"output_config": {"effort": "low"}}),
        ({"reasoning_effort": "xhigh"}, {"output_config": {"effort": "xhigh"}}),
        ({"response_format": {"type": "text"}}, {}),
        ({"tool_choice": "auto", "parallel_tool_calls": False}, {}),
        ({"tool_choice": "none", "tools": []}, {}),
        ({"user": "u", "safety_identifier": "s"}, {}),
        ({"n": 1, "logprobs": False, "presence_penalty": 0.0, "modalities": ["text"]}, {}),
        ({"store": True, "metadata": {"a": "b"}, "service_tier": "flex", "verbosity": "low"}, {}),
    ],
)
def test_members(chat: Json, sent: Json) -> None:
    assert without_messages(chat) == sent


@pytest.mark.parametrize(
    ("chat", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, None),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": TOOL}, {"type": "tool", "name": "look"}),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
    ],
)
def test_tool_choice(chat: Json, choice: Json) -> None:
    assert without_messages({"tools": [TOOL], **chat}).get("tool_choice") == choice


def text(*texts: str) -> Json:
    return [{"type": "text", "text": each} for each in texts]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param(
            [*HI, {"role": "user", "content": "there"}],
            [{"role": "user", "content": text("Hi", "there")}],
            id="a role in a row",
        ),
        pytest.param(
            [{"role": "user", "content": [*text("", "Hi", " \n")]}], [HI_TURN], id="empty text"
        ),
        pytest.param([*HI, {"role": "assistant", "content": ""}], [HI_TURN], id="empty assistant"),
        pytest.param([*HI, {"role": "system", "content": " "}], [HI_TURN], id="empty system"),
        pytest.param(
            [*HI, {"role": "assistant", "content": "It is \n"}],
            [HI_TURN, {"role": "assistant", "content": text("It is")}],
            id="an answer begun",
        ),
        pytest.param(
            [*HI, {"role": "assistant", "content": "Hm. "}, *HI],
            [HI_TURN, {"role": "assistant", "content": text("Hm. ")}, HI_TURN],
            id="only at the end is white space stripped",
        ),
        pytest.param(
            [*HI, {"role": "assistant", "refusal": "No.", "annotations": [], "audio": None}],
            [HI_TURN, {"role": "assistant", "content": text("No.")}],
            id="refusal",
        ),
        pytest.param(
            [*HI, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}],
            [HI_TURN, {"role": "assistant", "content": text("No.")}],
            id="refusal as a part",
        ),
        pytest.param(
            [{"role": "tool", "tool_call_id": "a", "content": ""}],
            [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]}],
            id="empty result",
        ),
    ],
)
def test_messages(messages: Json, expected: Json) -> None:
    assert turns(*messages) == expected


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "image/gif", "image/webp"])
def test_images(media_type: str) -> None:
    url = f"data:{media_type.upper()};base64,AAA="
    part = {"type": "image_url", "image_url": {"url": url}}
    source = {"type": "base64", "media_type": media_type, "data": "AAA="}
    expected = [{"role": "user", "content": [{"type": "image", "source": source}]}]
    assert turns({"role": "user", "content": [part]}) == expected


def call(**function: Json) -> Json:
    return {"tool_calls": [{"id": "a", "type": "function", "function": function}]}


@pytest.mark.parametrize(
    ("param", "chat"),
    [
        ("n", {"n": 2}),
        ("logprobs", {"logprobs": True}),
        ("presence_penalty", {"presence_penalty": 0.1}),
        ("modalities", {"modalities": ["text", "audio"]}),
        ("functions", {"functions": [{"name": "f"}]}),
        ("function_call", {"function_call": "auto"}),
        ("web_search_options", {"web_search_options": {}}),
        ("moderation", {"moderation": {"model": "m"}}),
        ("top_k", {"top_k": 3}),
        ("temperature", {"temperature": -0.1}),
        ("temperature", {"temperature": True}),
        ("top_p", {"top_p": 1.1}),
        ("stop", {"stop": 3}),
        ("stop.0", {"stop": "\n"}),
        ("stop.1", {"stop": ["a", 3]}),
        ("tools.0.type", {"tools": [{"type": "custom"}]}),
        ("tools.1", {"tools": [TOOL, "look"]}),
        ("tools.0.function.name", {"tools": [{"type": "function", "function": {"name": "a b"}}]}),
        (
            "tools.0.function.parameters.type",
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "a", "parameters": {"type": "array"}},
                    }
                ]
            },
        ),
        ("tool_choice", {"tool_choice": "required"}),
        ("tool_choice", {"tool_choice": "always"}),
        ("tool_choice.type", {"tool_choice": {"type": "allowed_tools"}}),
        ("parallel_tool_calls", {"parallel_tool_calls": "no"}),
        ("response_format.type", {"response_format": {"type": "grammar"}}),
        (
            "response_format.json_schema.schema",
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
        ),
        ("reasoning_effort", {"reasoning_effort": "huge"}),
        ("x" * 64, {"x" * 1000: 1}),
    ],
)
def test_members_that_cannot_be_translated(param: str, chat: Json) -> None:
    with pytest.raises(Unsupported) as refusal:
        without_messages({"messages": HI, **chat})
    assert refusal.value.param == param
    assert refusal.value.message.startswith(param)


@pytest.mark.parametrize(
    ("param", "messages"),
    [
        ("messages", None),
        ("messages", "Hi"),
        ("messages", []),
        ("messages", [{"role": "system", "content": "Be brief."}]),
        (
            "messages",
            [*HI, {"role": "assistant", "content": "A"}, {"role": "system", "content": "B"}],
        ),
        ("messages.0", ["Hi"]),
        ("messages.0.role", [{"content": "Hi"}]),
        ("messages.0.role", [{"role": ["user"], "content": "Hi"}]),
        ("messages.1.role", [*HI, {"role": "function", "name": "f", "content": "1"}]),
        ("messages.0.content", [{"role": "user"}]),
        ("messages.0.content", [{"role": "user", "content": " "}]),
        ("messages.0.content", [{"role": "user", "content": {"type": "text", "text": "Hi"}}]),
        ("messages.0.content.0", [{"role": "user", "content": ["Hi"]}]),
        ("messages.0.content.0.text", [{"role": "user", "content": [{"type": "text"}]}]),
        ("messages.0.content.0.type", [{"role": "user", "content": [{"type": "input_audio"}]}]),
        ("messages.0.content.0.type", [{"role": "user", "content": [{"type": "file"}]}]),
        ("messages.0.tool_calls", [{"role": "user", "content": "Hi", "tool_calls": []}]),
        ("messages.0.function_call", [{"role": "assistant", "function_call": {"name": "f"}}]),
        ("messages.0.audio", [{"role": "assistant", "audio": {"id": "a"}}]),
        (
            "messages.0.content.0.type",
            [{"role": "assistant", "content": [{"type": "image_url", "image_url": {}}]}],
        ),
        ("messages.0.tool_call_id", [{"role": "tool", "content": "1"}]),
        ("messages.0.tool_call_id", [{"role": "tool", "content": "1", "tool_call_id": ""}]),
        (
            "messages.0.tool_calls.0.type",
            [{"role": "assistant", "tool_calls": [{"id": "a", "type": "custom"}]}],
        ),
        ("messages.0.tool_calls.0.function", [{"role": "assistant", "tool_calls": [{"id": "a"}]}]),
    ],
)
def test_messages_that_cannot_be_translated(param: str, messages: Json) -> None:
    with pytest.raises(Unsupported) as refusal:
        to_messages({"messages": messages})
    assert refusal.value.param == param


@pytest.mark.parametrize("arguments", ["[]", "{", "1", '{"a": NaN}', [], 3])
def test_arguments_that_are_no_json_object(arguments: Json) -> None:
    message = {"role": "assistant", **call(name="look", arguments=arguments)}
    with pytest.raises(Unsupported) as refusal:
        turns(*HI, message)
    assert refusal.value.param == "messages.1.tool_calls.0.function.arguments"


@pytest.mark.parametrize(
    "url",
    [
        "http://images.example/a.png",
        "ftp://images.example/a.png",
        "file:///etc/passwd",
        "data:image/svg+xml;base64,AAAA",
        "data:image/png;base64,",
        "data:image/png,AAAA",
        "data:text/plain;base64,AAAA",
        "a.png",
    ],
)
def test_images_that_cannot_be_sent(url: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    with pytest.raises(Unsupported) as refusal:
        turns(*HI, {"role": "user", "content": [*text("Hi"), part]})
    assert refusal.value.param == "messages.1.content.1.image_url"


@given(json_objects | damaged(REQUEST))
def test_any_request_is_translated_or_refused(chat: Json) -> None:
    try:
        sent = to_messages(chat)
    except Unsupported:
        return
    orjson.dumps(sent)
    assert all(turn["content"] for turn in sent["messages"])
    roles = [turn["role"] for turn in sent["messages"]]
    assert all(one != other for one, other in pairwise(roles))
