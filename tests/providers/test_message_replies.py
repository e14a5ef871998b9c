"""Whole chat completions for clients that speak Anthropic's messages."""

from typing import Any

import pytest
from anthropic.types import Message
from hypothesis import given
from openai.types.chat import ChatCompletion

from server.providers.for_messages.reply import from_completion
from tests.arbitrary import damaged, json_objects
from tests.providers.completions import (
    MESSAGE,
    NO_USAGE,
    WHOLE,
    accumulated,
    call,
    chunk,
    completion,
    events,
    message_delta,
)


def test_a_reply_with_everything() -> None:
    ChatCompletion.model_validate(WHOLE, strict=True)
    assert from_completion(WHOLE) == MESSAGE
    Message.model_validate(MESSAGE, strict=True)


CALLS = [call("a", "f", "{}")]


@pytest.mark.parametrize(
    ("finish_reason", "message", "stop_reason"),
    [
        ("stop", {"content": "Hi"}, "end_turn"),
        ("length", {"content": "Hi"}, "max_tokens"),
        ("length", {"tool_calls": CALLS}, "max_tokens"),
        ("tool_calls", {"tool_calls": CALLS}, "tool_use"),
        ("function_call", {"tool_calls": CALLS}, "tool_use"),
        ("stop", {"tool_calls": CALLS}, "tool_use"),
        ("tool_calls", {"content": "Hi"}, "end_turn"),
        ("content_filter", {"content": "Hi"}, "refusal"),
        ("stop", {"refusal": "No."}, "refusal"),
        (None, {"content": "Hi"}, "end_turn"),
        (["stop"], {"content": "Hi"}, "end_turn"),
    ],
)
def test_stop_reasons(finish_reason: Any, message: dict[str, Any], stop_reason: str) -> None:
    assert from_completion(completion(finish_reason, **message))["stop_reason"] == stop_reason
    streamed = events([chunk(message_delta(message)), chunk({}, finish_reason)])
    assert streamed[-2]["delta"] == {"stop_reason": stop_reason, "stop_sequence": None}


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": ""}, []),
        ({"content": None, "tool_calls": None}, []),
        ({"refusal": "No."}, [{"type": "text", "text": "No."}]),
        ({"content": [{"type": "text", "text": "Hi"}]}, [{"type": "text", "text": "Hi"}]),
        (
            {"reasoning": "Hm.", "reasoning_content": "Hm."},
            [{"type": "thinking", "thinking": "Hm.", "signature": ""}],
        ),
        ({"tool_calls": [{"id": "a"}, {"id": "b", "function": {"name": ""}}, 1]}, []),
    ],
)
def test_contents(message: dict[str, Any], content: list[Any]) -> None:
    assert from_completion(completion(**message))["content"] == content
    assert accumulated([chunk(message_delta(message))])["content"] == content


@pytest.mark.parametrize(
    ("arguments", "given_input"),
    [
        ('{"a": [1]}', {"a": [1]}),
        ("", {}),
        (" ", {}),
        ("null", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ('{"a": ', {"arguments": '{"a": '}),
        ("[1]", {"arguments": "[1]"}),
    ],
)
def test_arguments_of_calls(arguments: Any, given_input: Any) -> None:
    reply = from_completion(completion(tool_calls=[call("a", "f", arguments)]))
    assert reply["content"] == [{"type": "tool_use", "id": "a", "name": "f", "input": given_input}]


@pytest.mark.parametrize(
    ("usage", "changed"),
    [
        (None, {}),
        ({"prompt_tokens": 5, "completion_tokens": 2}, {"input_tokens": 5, "output_tokens": 2}),
        (
            {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}},
            {"cache_read_input_tokens": 9},
        ),
        (
            {"prompt_tokens": 5, "prompt_tokens_details": None, "completion_tokens_details": []},
            {"input_tokens": 5},
        ),
        ({"prompt_tokens": True, "completion_tokens": -1}, {}),
        ({"prompt_tokens": 10**13, "completion_tokens": 10**13 + 1}, {"input_tokens": 10**13}),
        ({"prompt_tokens_details": {"cached_tokens": 10**13 + 1}}, {}),
        ({"completion_tokens_details": {"reasoning_tokens": 10**13 + 1}}, {}),
    ],
)
def test_usage(usage: Any, changed: dict[str, int]) -> None:
    wanted = {**NO_USAGE, **changed}
    assert from_completion({**WHOLE, "usage": usage})["usage"] == wanted
    assert events([chunk({"content": "Hi"}, usage=usage)])[-2]["usage"] == wanted


def test_ids() -> None:
    assert from_completion({"id": "msg_1"})["id"] == "msg_1"
    first, second = from_completion({})["id"], from_completion({"id": ""})["id"]
    assert first != second
    calls = [{"function": {"name": "f"}}, {"function": {"name": "f"}}]
    one, other = from_completion(completion(tool_calls=calls))["content"]
    assert one["id"] != other["id"]


@given(json_objects | damaged(WHOLE))
def test_no_reply_is_too_odd(reply: dict[str, Any]) -> None:
    Message.model_validate(from_completion(reply), strict=True)
