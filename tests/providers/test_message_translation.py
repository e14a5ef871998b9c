"""Requests in Anthropic's messages for providers that speak OpenAI's chat completions."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from server.errors import Unsupported
from server.providers.for_messages.request import to_chat
from tests.arbitrary import damaged, json_objects

PIXEL = "iVBORw0KGgo="
HI = [{"role": "user", "content": "Hi"}]
WEATHER = {
    "name": "weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
WEATHER_FUNCTION = {
    "name": "weather",
    "description": "The weather of a city",
    "parameters": WEATHER["input_schema"],
}
REQUEST: dict[str, Any] = {
    "model": "some-model",
    "max_tokens": 100,
    "stream": True,
    "system": [
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be kind."},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Where is it"},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
                },
                {"type": "image", "source": {"type": "url", "url": "https://host.test/a.png"}},
                {"type": "text", "text": "warmer?"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "abc"},
                {"type": "redacted_thinking", "data": "abc"},
                {"type": "text", "text": "Let me "},
                {"type": "text", "text": "look.", "citations": None},
                {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Köln"}},
                {"type": "tool_use", "id": "b", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Thanks."},
                {"type": "tool_result", "tool_use_id": "a", "content": "20 degrees"},
                {
                    "type": "tool_result",
                    "tool_use_id": "b",
                    "is_error": True,
                    "content": [{"type": "text", "text": "no"}, {"type": "text", "text": "city"}],
                },
                {"type": "text", "text": "Well?"},
            ],
        },
        {"role": "system", "content": "The user is in a hurry."},
    ],
    "tools": [{**WEATHER, "cache_control": {"type": "ephemeral"}}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "top_p": 1,
    "metadata": {"user_id": "u1"},
    "thinking": {"type": "enabled", "budget_tokens": 2000},
}
CHAT = {
    "messages": [
        {"role": "system", "content": "Be brief.\nBe kind."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Where is it"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                {"type": "image_url", "image_url": {"url": "https://host.test/a.png"}},
                {"type": "text", "text": "warmer?"},
            ],
        },
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Köln"}'},
                },
                {
                    "id": "b",
                    "type": "function",
                    "function": {"name": "weather", "arguments": "{}"},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "20 degrees"},
        {"role": "tool", "tool_call_id": "b", "content": "Error: no\ncity"},
        {"role": "user", "content": "Thanks.\nWell?"},
        {"role": "system", "content": "The user is in a hurry."},
    ],
    "tools": [{"type": "function", "function": WEATHER_FUNCTION}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "temperature": 0.5,
    "top_p": 1,
    "stop": ["END"],
    "reasoning_effort": "low",
}


def test_a_request_with_everything() -> None:
    chat = to_chat(REQUEST)
    assert chat == CHAT
    TypeAdapter(CompletionCreateParamsNonStreaming).validate_python({**chat, "model": "m"})


FORMAT = {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}
STRICT = {"name": "output", "schema": FORMAT["schema"], "strict": True}
WISH = {"type": "json_schema", "schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"system": "Be brief."}, {"messages": [{"role": "system", "content": "Be brief."}, *HI]}),
        ({"system": ""}, {"messages": HI}),
        ({"system": [{"type": "text", "text": ""}]}, {"messages": HI}),
        ({"tools": [], "tool_choice": {"type": "auto"}}, {}),
        ({"tools": [{**WEATHER, "strict": True}]}, {"strict": False}),
        ({"tool_choice": {"type": "any"}}, {"tool_choice": "required"}),
        ({"tool_choice": {"type": "none"}}, {"tool_choice": "none"}),
        (
            {"tool_choice": {"type": "tool", "name": "weather"}},
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        ),
        (
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
            {"tool_choice": "required", "parallel_tool_calls": False},
        ),
        ({"stop_sequences": []}, {}),
        ({"metadata": {"user_id": None, "other": 1}}, {}),
        ({"output_config": {"effort": "xhigh"}}, {"reasoning_effort": "xhigh"}),
        (
            {"output_config": {"format": FORMAT}},
            {"response_format": {"type": "json_schema", "json_schema": STRICT}},
        ),
        (
            {"output_config": {"format": WISH}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "output", "schema": WISH["schema"]},
                }
            },
        ),
        ({"thinking": {"type": "disabled"}}, {}),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, {}),
        ({"thinking": {"type": "enabled", "budget_tokens": 4095}}, {"reasoning_effort": "low"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, {"reasoning_effort": "medium"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 20000}}, {"reasoning_effort": "high"}),
        (
            {
                "thinking": {"type": "enabled", "budget_tokens": 2000},
                "output_config": {"effort": "max"},
            },
            {"reasoning_effort": "max"},
        ),
        ({"service_tier": "auto", "speed": "fast", "cache_control": {"type": "ephemeral"}}, {}),
        ({"mcp_servers": None, "top_k": None, "container": None}, {}),
    ],
)
def test_members(asked: dict[str, Any], sent: dict[str, Any]) -> None:
    tools = {"tools": [WEATHER]} if "tool_choice" in asked else {}
    function = {**WEATHER_FUNCTION, **({"strict": False} if "strict" in sent else {})}
    sent = {name: value for name, value in sent.items() if name != "strict"}
    if {**tools, **asked}.get("tools"):
        sent["tools"] = [{"type": "function", "function": function}]
    assert to_chat({"messages": HI, **tools, **asked}) == {"messages": HI, **sent}


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        ([], [{"role": "user", "content": ""}]),
        ([{"type": "text", "text": ""}], [{"role": "user", "content": ""}]),
        (
            [{"type": "tool_result", "tool_use_id": "a"}, {"type": "text", "text": ""}],
            [{"role": "tool", "tool_call_id": "a", "content": ""}],
        ),
    ],
)
def test_users_with_little_to_say(content: Any, messages: Any) -> None:
    assert to_chat({"messages": [{"role": "user", "content": content}]})["messages"] == messages


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Yes", {"content": "Yes"}),
        ([{"type": "thinking", "thinking": "Hm.", "signature": ""}], {"content": ""}),
        (
            [{"type": "tool_use", "id": "a", "name": "f", "input": {}}],
            {
                "content": None,
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
        ),
    ],
)
def test_answers_in_a_conversation(content: Any, message: Any) -> None:
    turns = [*HI, {"role": "assistant", "content": content}, *HI]
    assert to_chat({"messages": turns})["messages"][1] == {"role": "assistant", **message}


def image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source}


BLOCK = "messages.0.content.0"
TOO_DEEP: dict[str, Any] = {}
for _ in range(500):
    TOO_DEEP = {"a": TOO_DEEP}


@pytest.mark.parametrize(
    ("block", "param"),
    [
        ("text", BLOCK),
        ({}, BLOCK),
        ({"type": ["text"]}, BLOCK),
        ({"type": "document", "source": {"type": "text", "data": "x"}}, BLOCK),
        ({"type": "search_result"}, BLOCK),
        ({"type": "tool_use", "id": "a", "name": "f", "input": {}}, BLOCK),
        ({"type": "text"}, f"{BLOCK}.text"),
        ({"type": "text", "text": "Hi", "new": 1}, f"{BLOCK}.new"),
        ({"type": "image"}, f"{BLOCK}.source"),
        (image(type="file", file_id="f"), f"{BLOCK}.source.type"),
        (image(type="url", url="http://host.test/a.png"), f"{BLOCK}.source.url"),
        (image(type="base64", media_type="image/tiff", data=PIXEL), f"{BLOCK}.source.media_type"),
        (image(type="base64", media_type="image/png"), f"{BLOCK}.source.data"),
        ({"type": "tool_result"}, f"{BLOCK}.tool_use_id"),
        ({"type": "tool_result", "tool_use_id": "a", "is_error": 1}, f"{BLOCK}.is_error"),
        ({"type": "tool_result", "tool_use_id": "a", "content": 1}, f"{BLOCK}.content"),
        (
            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "document"}]},
            f"{BLOCK}.content.0",
        ),
    ],
)
def test_refused_blocks_of_users(block: Any, param: str) -> None:
    refused({"messages": [{"role": "user", "content": [block]}]}, param)


@pytest.mark.parametrize(
    ("block", "param"),
    [
        (image(type="url", url="https://host.test/a.png"), "messages.1.content.0"),
        ({"type": "tool_result", "tool_use_id": "a"}, "messages.1.content.0"),
        ({"type": "server_tool_use"}, "messages.1.content.0"),
        ({"type": "tool_use", "name": "f", "input": {}}, "messages.1.content.0.id"),
        ({"type": "tool_use", "id": "a", "input": {}}, "messages.1.content.0.name"),
        ({"type": "tool_use", "id": "a", "name": "f"}, "messages.1.content.0.input"),
        (
            {"type": "tool_use", "id": "a", "name": "f", "input": TOO_DEEP},
            "messages.1.content.0.input",
        ),
    ],
)
def test_refused_blocks_of_assistants(block: Any, param: str) -> None:
    refused({"messages": [*HI, {"role": "assistant", "content": [block]}, *HI]}, param)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": ["Hi"]}, "messages.0"),
        ({"messages": [{"content": "Hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "tool", "content": "Hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [*HI, {"role": "assistant", "content": "The best is ("}]}, "messages.1"),
        ({"system": 1}, "system"),
        ({"system": [image(type="url")]}, "system.0"),
        ({"top_k": 5}, "top_k"),
        ({"mcp_servers": []}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"inference_geo": "eu"}, "inference_geo"),
        ({"new": 0}, "new"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_p": True}, "top_p"),
        ({"stop_sequences": ["a", "b", "c", "d", "e"]}, "stop_sequences"),
        ({"stop_sequences": [1]}, "stop_sequences.0"),
        ({"tools": [{"type": "web_search_20260318", "name": "web_search"}]}, "tools.0.type"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools.0.type"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools.0.name"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tool_choice": {"type": "tool"}, "tools": [WEATHER]}, "tool_choice.name"),
        ({"tool_choice": {"type": "some"}, "tools": [WEATHER]}, "tool_choice.type"),
        ({"thinking": {"type": "between_tools"}}, "thinking.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "utmost"}}, "output_config.effort"),
        ({"output_config": {"task_budget": {}}}, "output_config.task_budget"),
        ({"output_config": {"format": {"type": "text"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    ],
)
def test_refused_members(asked: dict[str, Any], param: str) -> None:
    refused({"messages": HI, **asked}, param)


def refused(request: dict[str, Any], param: str) -> None:
    with pytest.raises(Unsupported) as caught:
        to_chat(request)
    assert caught.value.param == param
    assert caught.value.message.startswith(f"{param} ")


@given(json_objects | damaged(REQUEST))
def test_whatever_is_sent_is_translated_or_refused(request: dict[str, Any]) -> None:
    try:
        chat = to_chat(request)
    except Unsupported:
        return
    orjson.dumps(chat)
