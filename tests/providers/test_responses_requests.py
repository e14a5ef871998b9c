"""Requests of OpenAI's responses for endpoints of chat completions and of messages."""

import copy
from contextlib import suppress
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from server.errors import Unsupported
from server.providers.for_responses.history import for_openai
from server.providers.for_responses.request import to_chat, to_messages
from server.providers.for_responses.state import sealed
from server.providers.for_responses.tools import unlike_functions
from tests.arbitrary import damaged, json_objects

Json = Any

PIXEL = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FORMAT = {"type": "json_schema", "name": "answer", "schema": {"type": "object"}, "strict": True}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'}
REQUEST: dict[str, Any] = {
    "model": "some-model",
    "max_output_tokens": 100,
    "stream": True,
    "store": False,
    "instructions": "Be brief.",
    "input": [
        {"type": "message", "role": "developer", "content": "Be kind."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Where is it"},
                {"type": "input_image", "image_url": PIXEL, "detail": "low"},
                {"type": "input_text", "text": "warmer?"},
            ],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "of another"},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "Let me ", "annotations": [], "logprobs": []},
                {"type": "refusal", "refusal": "look."},
            ],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "a",
            "name": "weather",
            "arguments": '{"city":"Köln"}',
            "status": "completed",
        },
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "b", "name": "run", "input": "ls"},
        {"type": "function_call_output", "call_id": "a", "output": "warm"},
        {
            "type": "custom_tool_call_output",
            "call_id": "b",
            "output": [
                {"type": "input_text", "text": "seen:"},
                {"type": "input_image", "image_url": PIXEL},
            ],
        },
        {"role": "user", "content": "And now?"},
    ],
    "tools": [
        {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True},
        {"type": "custom", "name": "run", "description": "Run it", "format": GRAMMAR},
        {
            "type": "namespace",
            "name": "files",
            "description": "Files",
            "tools": [{"type": "function", "name": "read", "description": "Read"}],
        },
    ],
    "tool_choice": {"type": "function", "name": "weather"},
    "parallel_tool_calls": False,
    "temperature": 0.5,
    "top_p": 0.9,
    "reasoning": {"effort": "high", "summary": "auto"},
    "text": {"format": FORMAT, "verbosity": "low"},
    "include": ["reasoning.encrypted_content"],
    "truncation": "auto",
    "metadata": {"a": "b"},
    "prompt_cache_key": "key",
    "top_logprobs": 0,
    "user": "somebody",
}
INPUT = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
RUN = (
    'Run it\n\nThe input is a text that this grammar (lark) produces, and nothing else:\nstart: "x"'
)


def function(name: str, **members: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **members}}


def calling(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, **function(name, arguments=arguments)}


IMAGE = {"type": "image_url", "image_url": {"url": PIXEL}}
CHAT = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be kind."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Where is it"},
                {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                {"type": "text", "text": "warmer?"},
            ],
        },
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                calling("a", "weather", '{"city":"Köln"}'),
                calling("b", "run", '{"input":"ls"}'),
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "warm"},
        {"role": "tool", "tool_call_id": "b", "content": "seen:\n[image 1]"},
        {"role": "user", "content": [{"type": "text", "text": "[image 1]:"}, IMAGE]},
        {"role": "user", "content": "And now?"},
    ],
    "tools": [
        function("weather", parameters=SCHEMA, strict=True),
        function("run", parameters=INPUT, description=RUN),
        function(
            "files__read", parameters={"type": "object", "properties": {}}, description="Read"
        ),
    ],
    "tool_choice": function("weather"),
    "parallel_tool_calls": False,
    "temperature": 0.5,
    "top_p": 0.9,
    "reasoning_effort": "high",
    "verbosity": "low",
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
    },
}


def test_a_request_with_everything_as_a_chat_completion() -> None:
    before = copy.deepcopy(REQUEST)
    TypeAdapter(ResponseCreateParamsNonStreaming).validate_python({**REQUEST, "stream": False})
    sent = to_chat(REQUEST, "main")
    assert sent == CHAT
    assert before == REQUEST, "the fallbacks need it as it was"
    TypeAdapter(CompletionCreateParamsNonStreaming).validate_python({**sent, "model": "m"})


def test_a_request_with_everything_as_messages() -> None:
    sent = to_messages(REQUEST, "main")
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png"}}
    image["source"]["data"] = "iVBORw0KGgo="  # type: ignore[index]
    assert sent["system"] == [
        {"type": "text", "text": "Be brief."},
        {"type": "text", "text": "Be kind."},
    ]
    assert sent["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Where is it"},
                image,
                {"type": "text", "text": "warmer?"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Köln"}},
                {"type": "tool_use", "id": "b", "name": "run", "input": {"input": "ls"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "a",
                    "content": [{"type": "text", "text": "warm"}],
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "b",
                    "content": [{"type": "text", "text": "seen:"}, image],
                },
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    assert [tool["name"] for tool in sent["tools"]] == ["weather", "run", "files__read"]
    assert sent["tool_choice"] == {
        "type": "tool",
        "name": "weather",
        "disable_parallel_tool_use": True,
    }
    assert sent["output_config"] == {
        "effort": "high",
        "format": {"type": "json_schema", "schema": {"type": "object"}},
    }


HI = {"input": "Hi"}
TOOL = {"type": "function", "name": "f", "parameters": SCHEMA}
OTHER = {"type": "custom", "name": "g"}
F = function("f", parameters=SCHEMA)
G = function("g", parameters=INPUT)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {}),
        (dict.fromkeys(REQUEST.keys() - {"input"}), {}),
        ({"tools": [TOOL]}, {"tools": [F]}),
        ({"tools": [TOOL], "tool_choice": "auto"}, {"tools": [F]}),
        ({"tools": [TOOL], "tool_choice": "none"}, {"tools": [F], "tool_choice": "none"}),
        ({"tools": [TOOL], "tool_choice": "required"}, {"tools": [F], "tool_choice": "required"}),
        ({"tools": [], "tool_choice": "none", "parallel_tool_calls": False}, {}),
        (
            {"tools": [TOOL, OTHER], "tool_choice": {"type": "custom", "name": "g"}},
            {"tools": [F, G], "tool_choice": function("g")},
        ),
        (
            {
                "tools": [TOOL, OTHER],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "custom", "name": "g"}],
                },
            },
            {"tools": [G], "tool_choice": "required"},
        ),
        ({"reasoning": {"effort": "none"}}, {"reasoning_effort": "none"}),
        ({"reasoning": {"summary": "auto"}}, {}),
        ({"text": {"format": {"type": "text"}, "verbosity": "medium"}}, {}),
        (
            {"text": {"format": {"type": "json_object"}}},
            {"response_format": {"type": "json_object"}},
        ),
        ({"background": False, "context_management": [], "service_tier": "auto"}, {}),
        ({"store": True}, {}),
    ],
)
def test_members_of_requests(asked: Json, sent: Json) -> None:
    found = to_chat({**HI, **asked}, "")
    assert found.pop("messages") == [{"role": "user", "content": "Hi"}]
    assert found == sent


CALL = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "a", "output": "1"}
SAID = {"role": "assistant", "content": "Yes."}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": [*parts]}


@pytest.mark.parametrize(
    ("param", "asked"),
    [
        ("previous_response_id", {"previous_response_id": "resp_1"}),
        ("conversation", {"conversation": "conv_1"}),
        ("prompt", {"prompt": {"id": "pmpt_1"}}),
        ("background", {"background": True}),
        ("context_management", {"context_management": [{"type": "compaction"}]}),
        ("moderation", {"moderation": {"model": "m"}}),
        ("top_logprobs", {"top_logprobs": 3}),
        ("include", {"include": ["message.output_text.logprobs"]}),
        ("tomorrow", {"tomorrow": 1}),
        ("instructions", {"instructions": ["Be brief."]}),
        ("reasoning.mode", {"reasoning": {"mode": "pro"}}),
        ("reasoning.effort", {"reasoning": {"effort": 3}}),
        ("text.format.type", {"text": {"format": {"type": "grammar"}}}),
        ("text.format.schema", {"text": {"format": {"type": "json_schema", "name": "a"}}}),
        ("text.format.name", {"text": {"format": {"type": "json_schema", "schema": {}}}}),
        ("tools.0.type", {"tools": [{"type": "web_search"}]}),
        ("tools.1.type", {"tools": [TOOL, {"type": "mcp", "server_label": "a"}]}),
        ("tools.0.name", {"tools": [{"type": "function"}]}),
        ("tools.0.async", {"tools": [{**TOOL, "async": True}]}),
        ("tools.0.parameters.type", {"tools": [{**TOOL, "parameters": {"type": "array"}}]}),
        ("tools.0.format.type", {"tools": [{**OTHER, "format": {"type": "regex"}}]}),
        ("tools.0.format.syntax", {"tools": [{**OTHER, "format": {"type": "grammar"}}]}),
        (
            "tools.0.tools.0.type",
            {"tools": [{"type": "namespace", "name": "a", "tools": [{"type": "shell"}]}]},
        ),
        ("tool_choice", {"tool_choice": "required"}),
        ("tool_choice", {"tools": [TOOL], "tool_choice": "any"}),
        ("tool_choice", {"tools": [TOOL], "tool_choice": {"type": "web_search_preview"}}),
        (
            "tool_choice.tools.0",
            {
                "tools": [TOOL],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "mcp"}],
                },
            },
        ),
        ("input.0.type", {"input": [{"type": "item_reference", "id": "msg_1"}]}),
        ("input.1.type", {"input": [SAID, {"type": "web_search_call", "id": "ws_1"}]}),
        ("input.0.type", {"input": [{"content": "Hi"}]}),
        ("input.0.role", {"input": [{"role": "tool", "content": "Hi"}]}),
        ("input.0", {"input": ["Hi"]}),
        ("input.0.content", {"input": [{"role": "user", "content": 1}]}),
        ("input.0.content.0.type", {"input": [user({"type": "input_file", "file_id": "f"})]}),
        ("input.0.content.0.type", {"input": [user({"type": "input_audio"})]}),
        ("input.0.content.0.text", {"input": [user({"type": "input_text"})]}),
        (
            "input.0.content.0.file_id",
            {"input": [user({"type": "input_image", "file_id": "file_1"})]},
        ),
        ("input.0.content.0.image_url", {"input": [user({"type": "input_image"})]}),
        ("input.0.call_id", {"input": [{**CALL, "call_id": None}]}),
        ("input.0.name", {"input": [{**CALL, "name": ""}]}),
        ("input.0.arguments", {"input": [{**CALL, "arguments": {}}]}),
        ("input.1.call_id", {"input": [CALL, {**RESULT, "call_id": 1}]}),
        ("input.1.output", {"input": [CALL, {**RESULT, "output": None}]}),
        (
            "input.1.output.0.type",
            {"input": [CALL, {**RESULT, "output": [{"type": "input_file"}]}]},
        ),
    ],
)
@pytest.mark.parametrize("translate", [to_chat, to_messages])
def test_what_cannot_be_translated_is_named(param: str, asked: Json, translate: Any) -> None:
    with pytest.raises(Unsupported) as refusal:
        translate({**HI, **asked}, "main")
    assert refusal.value.param == param
    assert refusal.value.message.startswith(param)


@pytest.mark.parametrize(
    ("param", "asked"),
    [
        (
            "input.1.content.0.image_url",
            {
                "instructions": "Be brief.",
                "input": [
                    {"role": "user", "content": "Hi"},
                    user({"type": "input_image", "image_url": "http://host.test/a.png"}),
                ],
            },
        ),
        (
            "input.1.output.1.image_url",
            {
                "input": [
                    CALL,
                    {
                        **RESULT,
                        "output": [
                            {"type": "input_text", "text": "Seen:"},
                            {"type": "input_image", "image_url": "ftp://host.test/a.png"},
                        ],
                    },
                ]
            },
        ),
        ("input.0.arguments", {"input": [{**CALL, "arguments": "[]"}, RESULT]}),
        ("input", {"input": []}),
        ("input", {"input": " "}),
        ("temperature", {"temperature": 3}),
        ("reasoning.effort", {"reasoning": {"effort": "much"}}),
    ],
)
def test_what_messages_do_not_take_is_named_as_it_was_asked_for(param: str, asked: Json) -> None:
    with pytest.raises(Unsupported) as refusal:
        to_messages({**HI, **asked}, "main")
    assert refusal.value.param == param
    assert "messages" not in refusal.value.message


def test_calls_and_results_one_after_the_other() -> None:
    second = {**CALL, "call_id": "b"}
    items = [CALL, RESULT, SAID, second, {"role": "user", "content": "Go on"}]
    result = {**RESULT, "call_id": "b"}
    sent = to_chat({"input": [*items, result]}, "")["messages"]
    assert [(one["role"], one.get("tool_call_id")) for one in sent] == [
        ("assistant", None),
        ("tool", "a"),
        ("assistant", None),
        ("tool", "b"),
        ("user", None),
    ]
    assert sent[2] == {
        "role": "assistant",
        "content": "Yes.",
        "tool_calls": [calling("b", "f", "{}")],
    }


def test_what_is_called_otherwise_than_a_function() -> None:
    assert unlike_functions(REQUEST) == {
        "run": {"type": "custom_tool_call", "name": "run"},
        "files__read": {"type": "function_call", "name": "read", "namespace": "files"},
    }
    with pytest.raises(Unsupported):
        unlike_functions({"tools": [{"type": "custom", "name": "a" * 70_000}]})


THOUGHTS = {
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Hm."}],
    "encrypted_content": sealed("thinking", "EqQB", "main"),
}
HIDDEN = {**THOUGHTS, "summary": [], "encrypted_content": sealed("redacted_thinking", "Eq", "main")}
SIGNED = [
    {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
    {"type": "redacted_thinking", "data": "Eq"},
]


def test_thoughts_go_back_to_who_has_signed_them() -> None:
    items = [{"role": "user", "content": "Hi"}, THOUGHTS, HIDDEN, CALL, RESULT]
    said = to_messages({"input": items}, "main")["messages"][1]["content"]
    assert said == [*SIGNED, {"type": "tool_use", "id": "a", "name": "f", "input": {}}]
    for origin in ("other", ""):
        assert to_messages({"input": items}, origin)["messages"][1]["content"] == said[2:]
    assert "Hm." not in orjson.dumps(to_chat({"input": items}, "main")).decode()


def test_thoughts_that_led_to_nothing_do_not_go_back() -> None:
    hi = {"role": "user", "content": "Hi"}
    sent = to_messages({"input": [hi, THOUGHTS, hi, SAID, THOUGHTS]}, "main")["messages"]
    assert [turn["role"] for turn in sent] == ["user", "assistant"]
    assert sent[1]["content"] == [{"type": "text", "text": "Yes."}]


def test_what_was_made_here_does_not_reach_openai() -> None:
    kept = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}
    long = "a" * 65
    items = [THOUGHTS, kept, {**CALL, "call_id": long}, {**RESULT, "call_id": long}, CALL]
    sent = for_openai({"input": items, "model": "m"})
    call_id = sent["input"][1]["call_id"]
    assert len(call_id) <= 64
    assert sent["input"] == [
        kept,
        {**CALL, "call_id": call_id},
        {**RESULT, "call_id": call_id},
        CALL,
    ]
    body = {"input": [kept, CALL, RESULT]}
    assert for_openai(body) is body
    assert for_openai(HI) is HI


@given(json_objects | damaged(REQUEST))
def test_any_request_is_translated_or_refused(body: Json) -> None:
    with suppress(Unsupported):
        orjson.dumps([unlike_functions(body), to_chat(body, "main")])
    try:
        sent = to_messages(body, "main")
    except Unsupported:
        return
    orjson.dumps(sent)
    assert all(turn["content"] for turn in sent["messages"])
    roles = [turn["role"] for turn in sent["messages"]]
    assert all(one != other for one, other in pairwise(roles))
