"""Responses where the endpoint speaks something else, from the client to the provider and back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from tests.doubles import Answer, Double, Tool
from tests.endpoints import endpoint
from tests.gateway.asking import PROTOCOLS, used, user_at, user_of
from tests.gateway.conversations import STATES, answering
from tests.gateway.prompts import GIVEN, SECRET, prompting
from tests.gateway.raw_provider import HEAD, RawProvider, sending, whole
from tests.gateway.responding import OFFERED, events_of, next_turn, respond, response_of

CALLS = (Tool("weather", {"city": "Zürich"}), Tool("time"))
ANSWER = Answer(pieces=["One ", "two"], tools=CALLS, input_tokens=30, cached_tokens=8)
TOOLS: list[Any] = [
    {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False},
    {"type": "custom", "name": "time"},
]


@contextmanager
def sdk_of(client: httpx.Client, url: str, protocol: str) -> Iterator[tuple[openai.OpenAI, Any]]:
    user = user_at(client, url, protocol)
    base_url = f"{client.base_url}/{user.api.tenant_id}/v1"
    with openai.OpenAI(base_url=base_url, api_key=user.api_key, max_retries=0) as sdk:
        yield sdk, user


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_their_sdk_reads_it(
    client: httpx.Client, double: Double, protocol: str, streamed: bool
) -> None:
    prompt = double.script("x", ANSWER)
    asked: dict[str, Any] = {
        "model": f"{protocol}-model",
        "input": prompt,
        "instructions": "Be brief.",
        "tools": TOOLS,
        "max_output_tokens": 100,
    }
    with sdk_of(client, double.url, protocol) as (sdk, user):
        if streamed:
            with sdk.responses.stream(**asked) as stream:
                response: Any = stream.get_final_response()
        else:
            response = sdk.responses.create(**asked)
        [call] = double.calls("x")
        assert used(user) == call.used == response.usage.total_tokens
    assert (response.status, response.output_text) == ("completed", "One two")
    assert [item.type for item in response.output] == [
        "message",
        "function_call",
        "custom_tool_call",
    ]
    assert json.loads(response.output[1].arguments) == {"city": "Zürich"}
    assert response.usage.input_tokens_details.cached_tokens == 8
    said = json.dumps(call.body)
    assert "Be brief." in said
    assert "100" in said


class Answered(BaseModel):
    city: str


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_structured_output(client: httpx.Client, double: Double, protocol: str) -> None:
    prompt = double.script("x", Answer(pieces=['{"city":', '"Zürich"}']))
    with sdk_of(client, double.url, protocol) as (sdk, _):
        response = sdk.responses.parse(
            model=f"{protocol}-model", input=prompt, text_format=Answered
        )
    assert response.output_parsed == Answered(city="Zürich")
    [call] = double.calls("x")
    asked = call.body["output_config" if protocol == "anthropic" else "response_format"]
    assert '"city"' in json.dumps(asked)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", STATES)
def test_a_provider_of_chats_gets_back_what_it_gave(
    client: httpx.Client, name: str, streamed: bool
) -> None:
    given = STATES[name]
    with answering(given, streamed) as provider:
        user = user_at(client, provider.url)
        output = response_of(user, "Hi", streamed, tools=OFFERED)["output"]
    with answering({"content": "Yes."}, streamed=False) as provider:
        user = user_at(client, provider.url)
        assert respond(user, next_turn("Hi", output), tools=OFFERED).status_code == 200
    messages = json.loads(provider.requests[-1][1])["messages"]
    (said,) = (message for message in messages if message["role"] == "assistant")
    assert said == {"role": "assistant", "content": None, **given}
    named = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert named == [call["id"] for call in said.get("tool_calls", [])]


THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCgIYAhIM/+="}
HIDDEN = {"type": "redacted_thinking", "data": "EqQB/+="}
USE = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}}
THOUGHTFUL: list[dict[str, Any]] = [THINKING, HIDDEN, {"type": "text", "text": "I look."}, USE]
OF_ANTHROPIC = {"input_tokens": 20, "output_tokens": 5}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}


def anthropic_answer(content: list[dict[str, Any]], streamed: bool) -> RawProvider:
    ended = {"stop_reason": "tool_use", "stop_sequence": None}
    if not streamed:
        reply = {**MESSAGE, "content": content, **ended, "usage": OF_ANTHROPIC}
        return RawProvider(whole(json.dumps(reply).encode()))
    begun: dict[str, Any] = {**MESSAGE, "content": [], "stop_reason": None, "usage": OF_ANTHROPIC}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(content):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": ended, "usage": OF_ANTHROPIC})
    events.append({"type": "message_stop"})
    framed = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events)
    return RawProvider(sending(HEAD + framed.encode()))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_provider_of_messages_gets_its_thoughts_back(
    client: httpx.Client, double: Double, streamed: bool
) -> None:
    with anthropic_answer(THOUGHTFUL, streamed) as provider:
        user = user_at(client, provider.url, "anthropic")
        output = response_of(user, "Hi #x", streamed, tools=OFFERED)["output"]
        assert [item["type"] for item in output] == [
            *("reasoning", "reasoning", "message", "function_call"),
        ]
    turn = next_turn("Hi #x", output)
    with anthropic_answer([{"type": "text", "text": "Yes."}], streamed=False) as provider:
        user = user_at(client, provider.url, "anthropic")
        assert respond(user, turn, tools=OFFERED).status_code == 200
    said = json.loads(provider.requests[-1][1])["messages"][1]
    assert said == {"role": "assistant", "content": THOUGHTFUL}
    # Others, of any protocol, go on without: the double refuses what is not its own.
    for protocol in PROTOCOLS:
        main = endpoint("http://127.0.0.1:9", "anthropic")
        other = endpoint(double.url, protocol)
        user = user_of(client, {"main": main, "other": other}, ["other"])
        assert respond(user, turn, tools=OFFERED).status_code == 200
        assert "EqQB" not in json.dumps(double.calls()[-1].body)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_cannot_be_said_is_refused_and_free(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    user = user_at(client, double.url, protocol)
    reply = respond(user, "Hi", top_logprobs=3)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "top_logprobs"
    assert used(user) == 0
    assert not double.calls()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_that_breaks_off_has_failed(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    prompt = double.script("x", Answer(pieces=["One ", "two"] * 5, cut_at=4))
    user = user_at(client, double.url, protocol)
    events = events_of(user, prompt)
    assert events[-1]["type"] == "response.failed"
    response = events[-1]["response"]
    assert response["error"]["code"] == "server_error"
    assert response["id"] == events[0]["response"]["id"]
    assert used(user) > 0


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_cut_is_incomplete(
    client: httpx.Client, double: Double, protocol: str, streamed: bool
) -> None:
    prompt = double.script("x", Answer(pieces=["a "] * 50))
    user = user_at(client, double.url, protocol)
    response = response_of(user, prompt, streamed, max_output_tokens=16)
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_prompt_stays_here(
    client: httpx.Client, double: Double, protocol: str, streamed: bool
) -> None:
    user = prompting(client, double.url, protocol)
    given = {"model": "prompt/haiku", "variables": GIVEN, "stream": streamed}
    reply = user.api.post("/v1/responses", given, user.headers)
    assert reply.status_code == 200, reply.text
    assert SECRET not in reply.text
    assert "real-model" not in reply.text
    last = reply.text.rpartition("data: ")[2] if streamed else reply.text
    response = json.loads(last)["response"] if streamed else json.loads(last)
    assert (response["model"], response["status"]) == ("prompt/haiku", "completed")
    assert SECRET in json.dumps(double.calls()[-1].body)


def test_what_a_prompt_cannot_take_is_named_as_it_was_given(
    client: httpx.Client, double: Double
) -> None:
    user = prompting(client, double.url, "anthropic")
    reply = respond(user, " ", model="prompt/chat")
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "input"), reply.text
    assert SECRET not in reply.text
