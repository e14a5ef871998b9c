"""The Python SDKs through the gateway to aimock: what it reports as used is what is charged."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import openai
import pytest

from tests.aimock import GREETING, GREETING_TOKENS
from tests.aimock.conftest import Aimock
from tests.gateway.sdks import PROTOCOLS, Sdks, sdks_at
from tests.processes import Server

NAMES = ("weather", "time")
OF_OPENAI = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in NAMES
]
OF_RESPONSES = [
    {"type": "function", "name": name, "parameters": {"type": "object"}, "strict": False}
    for name in NAMES
]
OF_ANTHROPIC = [{"name": name, "input_schema": {"type": "object"}} for name in NAMES]


@contextmanager
def speaking(gateway: Server, aimock: Aimock, protocol: str) -> Iterator[Sdks]:
    """Their provider is aimock, by this protocol; with `responses` by that of OpenAI, and those."""
    is_passed = protocol == "responses"
    members: Any = {"responses_url": f"{aimock.url}/v1/responses"} if is_passed else {}
    of_chats = "openai" if is_passed else protocol
    with sdks_at(gateway.url, aimock.url, of_chats, **members) as sdks:
        yield sdks


@pytest.fixture(params=[*PROTOCOLS, "responses"])
def sdks(gateway: Server, aimock: Aimock, request: pytest.FixtureRequest) -> Iterator[Sdks]:
    """Their provider speaks one protocol, then another."""
    with speaking(gateway, aimock, request.param) as sdks:
        yield sdks


def asked(content: Any, **members: Any) -> dict[str, Any]:
    return {"model": "", "messages": [{"role": "user", "content": content}], **members}


def chat(sdks: Sdks, content: str, **members: Any) -> str:
    completion: Any = sdks.chat().chat.completions.create(**asked(content, **members))
    return str(completion.choices[0].message.content)


def chat_streamed(sdks: Sdks, content: str) -> str:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = sdks.chat().chat.completions.create(**asked(content, **options))
    assert last.usage.total_tokens == GREETING_TOKENS
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def message(sdks: Sdks, content: str) -> str:
    reply: Any = sdks.claude().messages.create(**asked(content, max_tokens=100))
    assert reply.usage.input_tokens + reply.usage.output_tokens == GREETING_TOKENS
    return str(reply.content[0].text)


def message_streamed(sdks: Sdks, content: str) -> str:
    with sdks.claude().messages.stream(**asked(content, max_tokens=100)) as events:
        text = "".join(events.text_stream)
        usage = events.get_final_message().usage
    assert usage.input_tokens + usage.output_tokens == GREETING_TOKENS
    return text


def response(sdks: Sdks, content: str) -> str:
    reply = sdks.chat().responses.create(input=content)
    assert reply.usage is not None
    assert reply.usage.total_tokens == GREETING_TOKENS
    return reply.output_text


def response_streamed(sdks: Sdks, content: str) -> str:
    with sdks.chat().responses.create(input=content, stream=True) as stream:
        *events, last = stream
    assert last.type == "response.completed"
    assert last.response.usage is not None
    assert last.response.usage.total_tokens == GREETING_TOKENS
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    return "".join(deltas)


CALLS = (chat, chat_streamed, message, message_streamed, response, response_streamed)


@pytest.mark.parametrize("call", CALLS)
def test_a_greeting(sdks: Sdks, call: Callable[[Sdks, str], str]) -> None:
    assert call(sdks, "greeting") == GREETING
    sdks.assert_charged(GREETING_TOKENS)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_of_openai(sdks: Sdks, streamed: bool) -> None:
    completions: Any = sdks.chat().chat.completions
    question = asked("weather", tools=OF_OPENAI)
    if streamed:
        with completions.stream(**question) as events:
            [choice] = events.get_final_completion().choices
    else:
        [choice] = completions.create(**question).choices
    assert choice.finish_reason == "tool_calls"
    calls = choice.message.tool_calls
    found = [(call.function.name, json.loads(call.function.arguments)) for call in calls]
    assert found == [("weather", {"city": "Bern"}), ("time", {})]
    sdks.assert_charged(100)
    said = choice.message.model_dump(include={"role", "content", "tool_calls"})
    results = [{"role": "tool", "tool_call_id": call.id, "content": "20"} for call in calls]
    turns = [*question["messages"], said, *results]
    answer = completions.create(**{**question, "messages": turns})
    assert answer.choices[0].message.content == "Sunny."
    sdks.assert_charged(100 + 113)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_of_anthropic(sdks: Sdks, streamed: bool) -> None:
    messages: Any = sdks.claude().messages
    question = asked("weather", tools=OF_ANTHROPIC, max_tokens=100)
    if streamed:
        with messages.stream(**question) as events:
            reply = events.get_final_message()
    else:
        reply = messages.create(**question)
    assert reply.stop_reason == "tool_use"
    calls = [block for block in reply.content if block.type == "tool_use"]
    found = [(call.name, call.input) for call in calls]
    assert found == [("weather", {"city": "Bern"}), ("time", {})]
    sdks.assert_charged(100)
    said = {"role": "assistant", "content": calls}
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "20"} for call in calls]
    turns = [*question["messages"], said, {"role": "user", "content": results}]
    assert messages.create(**{**question, "messages": turns}).content[0].text == "Sunny."
    sdks.assert_charged(100 + 113)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_of_responses(sdks: Sdks, streamed: bool) -> None:
    responses: Any = sdks.chat().responses
    turns: list[Any] = [{"role": "user", "content": "weather"}]
    question = {"input": turns, "tools": OF_RESPONSES}
    if streamed:
        with responses.stream(model="", **question) as events:
            answer = events.get_final_response()
    else:
        answer = responses.create(**question)
    calls = [item for item in answer.output if item.type == "function_call"]
    found = [(call.name, json.loads(call.arguments)) for call in calls]
    assert found == [("weather", {"city": "Bern"}), ("time", {})]
    sdks.assert_charged(100)
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "20"} for call in calls
    ]
    turns += [*answer.output, *results]
    assert responses.create(**question).output_text == "Sunny."
    sdks.assert_charged(100 + 113)


@pytest.mark.parametrize("call", CALLS)
def test_a_refusal_costs_nothing(sdks: Sdks, call: Callable[[Sdks, str], str]) -> None:
    kinds = (openai.BadRequestError, anthropic.BadRequestError)
    with pytest.raises(kinds, match=r"No such thing\."):
        call(sdks, "refused")
    sdks.assert_charged(0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_that_is_cut(gateway: Server, start: Callable[..., Aimock], protocol: str) -> None:
    # Without a pause aimock drops the connection before it has written anything.
    aimock = start("--latency", "20")
    with aimock, speaking(gateway, aimock, protocol) as sdks:
        with pytest.raises(openai.APIError):
            chat_streamed(sdks, "cut")
        sdks.assert_estimated()
        with pytest.raises(anthropic.APIError):
            message_streamed(sdks, "cut")
        sdks.assert_estimated()
        assert kinds_of(sdks, "cut")[-1] == "response.failed"
        sdks.assert_estimated()


def kinds_of(sdks: Sdks, content: str) -> list[str]:
    """The types of a stream's events, whether an error is among them or not."""
    with sdks.chat().responses.with_streaming_response.create(input=content, stream=True) as reply:
        return [line[7:] for line in reply.iter_lines() if line.startswith("event: ")]


@pytest.mark.parametrize("protocol", [*PROTOCOLS, "responses"])
@pytest.mark.parametrize(
    ("flag", "status"), [("drop", 502), ("malformed", 502), ("disconnect", 502), ("ratelimit", 429)]
)
def test_chaos_costs_nothing(
    gateway: Server, start: Callable[..., Aimock], flag: str, status: int, protocol: str
) -> None:
    aimock = start(f"--chaos-{flag}", "1")
    with aimock, speaking(gateway, aimock, protocol) as sdks:
        for call in CALLS:
            with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as failed:
                call(sdks, "greeting")
            error: Any = failed.value
            assert error.status_code == status
        sdks.assert_charged(0)


@pytest.mark.parametrize("protocol", [*PROTOCOLS, "responses"])
def test_in_chaos_what_is_answered_is_paid(
    gateway: Server, start: Callable[..., Aimock], protocol: str
) -> None:
    rates = [("drop", "0.15"), ("malformed", "0.15"), ("disconnect", "0.15"), ("ratelimit", "0.15")]
    aimock = start(*(word for flag, rate in rates for word in (f"--chaos-{flag}", rate)))
    answered = 0
    with aimock, speaking(gateway, aimock, protocol) as sdks:
        for call in CALLS * 10:
            try:
                assert call(sdks, "greeting") == GREETING
                answered += 1
            except (openai.APIStatusError, anthropic.APIStatusError):
                continue
        assert 0 < answered < 60
        sdks.assert_charged(answered * GREETING_TOKENS)
