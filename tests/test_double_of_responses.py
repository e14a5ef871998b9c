"""The double of responses, held against the official SDK's types, which must know each event."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.doubles import Answer, Call, Double, Tool
from tests.doubles.responses_items import ENCRYPTED
from tests.processes import eventually

TEXT = "One two three four five."
CALLS = (Tool("weather", {"city": "Zürich", "days": [1, 2, 3]}), Tool("time"))
OFFERED = [
    {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False},
    {"type": "custom", "name": "time"},
]
WITH_CONTENT = ["reasoning.encrypted_content"]
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture(scope="module")
def double() -> Iterator[Double]:
    with Double() as double:
        yield double


@pytest.fixture
def sdk(double: Double) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{double.url}/v1", api_key="sk-1", max_retries=0) as sdk:
        yield sdk


@pytest.fixture
def key() -> str:
    return uuid4().hex


def post(double: Double, given: Any, **members: Any) -> httpx.Response:
    body = {"model": "m", "input": given, **members}
    headers = {"authorization": "Bearer sk-1"}
    return httpx.post(f"{double.url}/v1/responses", json=body, headers=headers, timeout=10)


def streamed(double: Double, given: Any, **members: Any) -> list[Any]:
    """The events, each as the SDK's types have it, with nothing missing."""
    text = post(double, given, stream=True, **members).text
    frames = [frame.split("\n") for frame in text.split("\n\n")[:-1]]
    found = [json.loads(data.removeprefix("data: ")) for _, data in frames]
    assert [name.removeprefix("event: ") for name, _ in frames] == [one["type"] for one in found]
    return [EVENT.validate_python(one) for one in found]


def only(double: Double, key: str) -> Call:
    eventually(lambda: [call for call in double.calls(key) if call.ended])
    [call] = double.calls(key)
    return call


def test_a_response(double: Double, sdk: openai.OpenAI, key: str) -> None:
    prompt = double.script(key, Answer(input_tokens=30, cached_tokens=8, reasoning_tokens=4))
    response = sdk.responses.create(model="m", input=prompt, instructions="Be brief.")
    assert (response.output_text, response.status) == (TEXT, "completed")
    assert [item.type for item in response.output] == ["reasoning", "message"]
    usage = response.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (30, 9, 39)
    assert usage.input_tokens_details.cached_tokens == 8
    assert usage.output_tokens_details.reasoning_tokens == 4
    assert response.instructions == "Be brief."
    call = only(double, key)
    assert (call.protocol, call.path, call.used) == ("responses", "/v1/responses", 39)


def test_a_stream_has_all_of_the_response(double: Double, key: str) -> None:
    answer = Answer(pieces=["Let me ", "see."], tools=CALLS, reasoning_tokens=6, thinking="Well.")
    events = streamed(double, double.script(key, answer), tools=OFFERED)
    assert [event.sequence_number for event in events] == [*range(len(events))]
    item = ["response.output_item.added", "response.output_item.done"]
    assert [event.type for event in events if "output_item" in event.type] == item * 4
    *others, last = events
    assert last.type == "response.completed"
    assert not [event for event in others if event.type in ("response.failed", "error")]
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert last.response.output == done
    kinds = ["reasoning", "message", "function_call", "custom_tool_call"]
    assert [one.type for one in done] == kinds
    reasoning, message, call, custom = done
    assert (reasoning.summary[0].text, message.content[0].text) == ("Well.", "Let me see.")
    assert json.loads(call.arguments) == CALLS[0].arguments
    assert custom.input == "{}"
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == ["Let me ", "see."]
    assert last.response.usage.output_tokens == only(double, key).used - 20


def test_the_sdk_gathers_a_stream(double: Double, sdk: openai.OpenAI, key: str) -> None:
    prompt = double.script(key, Answer(tools=CALLS[:1]))
    tools: Any = OFFERED
    with sdk.responses.stream(model="m", input=prompt, tools=tools) as stream:
        final = stream.get_final_response()
    whole = sdk.responses.create(model="m", input=prompt, tools=tools)
    assert final.output_text == whole.output_text == TEXT
    assert [one.type for one in final.output] == [one.type for one in whole.output]


@pytest.mark.parametrize(
    ("answer", "status", "why"),
    [
        (Answer(pieces=["x"] * 20), "incomplete", "max_output_tokens"),
        (Answer(finish_reason="content_filter"), "incomplete", "content_filter"),
        (Answer(finish_reason="failed"), "failed", None),
    ],
    ids=["limit", "filter", "failure"],
)
def test_other_ends(double: Double, key: str, answer: Answer, status: str, why: str | None) -> None:
    prompt = double.script(key, answer)
    last = streamed(double, prompt, max_output_tokens=16)[-1]
    whole = Response.model_validate(post(double, prompt, max_output_tokens=16).json())
    assert last.type == f"response.{status}"
    for response in (last.response, whole):
        assert response.status == status
        assert (response.incomplete_details and response.incomplete_details.reason) == why
        assert (response.error is not None) == (status == "failed")
    assert last.response.usage.output_tokens <= 16


def test_faults_of_a_stream(double: Double, sdk: openai.OpenAI, key: str) -> None:
    prompt = double.script(
        key, Answer(error_at=3, code="slow_down"), Answer(without_done=True), Answer(cut_at=2)
    )
    failed = streamed(double, prompt)
    assert (failed[-1].type, failed[-1].code) == ("error", "slow_down")
    assert streamed(double, prompt)[-1].type == "response.output_item.done"
    with pytest.raises(openai.APIConnectionError):
        list(sdk.responses.create(model="m", input=prompt, stream=True))
    eventually(lambda: all(call.ended for call in double.calls(key)))
    assert [call.used for call in double.calls(key)] == [22, 25, 21]


def test_the_next_turn(double: Double, key: str) -> None:
    first = Answer(pieces=[], tools=CALLS[:1], reasoning_tokens=3)
    prompt = double.script(key, first, Answer(pieces=["Sunny."]))
    members: dict[str, Any] = {"include": WITH_CONTENT, "store": False, "tools": OFFERED}
    reasoning, call = post(double, prompt, **members).json()["output"]
    assert reasoning["encrypted_content"].startswith(ENCRYPTED)
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "20"}
    question = {"role": "user", "content": [{"type": "input_text", "text": prompt}]}
    turn = [question, reasoning, call, result]
    assert post(double, turn, **members).json()["output"][0]["content"][0]["text"] == "Sunny."
    broken = {
        "tool call found": [question, result],
        "tool output found": [question, call],
        "required following item": [question, reasoning],
        "could not be verified": [question, {**reasoning, "encrypted_content": "x"}, call, result],
        "not found": [question, {**reasoning, "encrypted_content": None}, call, result],
        "Invalid value": [{"role": "assistant", "content": question["content"]}],
    }
    for message, items in broken.items():
        reply = post(double, items, **members)
        assert reply.status_code == (404 if message == "not found" else 400)
        assert message in reply.json()["error"]["message"]


def test_what_is_stored(double: Double, sdk: openai.OpenAI, key: str) -> None:
    prompt = double.script(key, Answer())
    kept, other = (sdk.responses.create(model="m", input=prompt, store=on) for on in (True, False))
    assert sdk.responses.retrieve(kept.id).output_text == TEXT
    again = sdk.responses.create(model="m", input=prompt, previous_response_id=kept.id)
    assert again.previous_response_id == kept.id
    reference: Any = [{"type": "item_reference", "id": kept.output[0].id}]
    assert sdk.responses.create(model="m", input=reference).status == "completed"
    sdk.responses.delete(kept.id)
    for response in (kept, other):
        with pytest.raises(openai.NotFoundError):
            sdk.responses.retrieve(response.id)
        with pytest.raises(openai.NotFoundError):
            sdk.responses.create(model="m", input=prompt, previous_response_id=response.id)


@pytest.mark.parametrize(
    "members",
    [
        {"input": None},
        {"input": 5},
        {"input": []},
        {"model": None},
        {"max_output_tokens": 15},
        {"max_tokens": 100},
        {"stream_options": {}},
        {"input": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
    ],
)
def test_what_is_refused(double: Double, members: dict[str, Any]) -> None:
    reply = post(double, "Hi", **members)
    assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error")
