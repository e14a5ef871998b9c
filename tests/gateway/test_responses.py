"""Responses passed on to an endpoint that speaks them, whole and streamed."""

import json
from typing import Any

import httpx
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from server.providers.responses import RESPONSES
from server.tenants.text import TextEndpoint
from tests.api import User
from tests.doubles import Answer, Call, Double, Tool
from tests.endpoints import endpoint
from tests.gateway.asking import (
    PATHS,
    ask,
    data_of,
    estimate,
    ledger,
    stream,
    streaming,
    text_of,
    turns,
    used,
    user_of,
)
from tests.gateway.sdks import app_at
from tests.processes import Server

TEXT = "One two three four five."
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}


def speaking(double: Double, **members: Any) -> dict[str, Any]:
    """An endpoint of responses at the double."""
    return endpoint(double.url, responses_url=f"{double.url}/v1/responses", **members)


@pytest.fixture
def user(client: httpx.Client, double: Double) -> User:
    return user_of(client, {"main": speaking(double)})


def only(double: Double) -> Call:
    [call] = double.calls()
    return call


def test_a_response_costs_what_it_reports(user: User, double: Double) -> None:
    prompt = double.script("x", Answer(input_tokens=30, cached_tokens=8, reasoning_tokens=4))
    reply = ask(user, prompt, "responses", instructions="Be brief.", top_p=0.5)
    assert reply.status_code == 200, reply.text
    response = Response.model_validate(reply.json(), strict=False)
    assert response.output_text == TEXT
    assert reply.headers["x-tokens-charged"] == "39"
    assert used(user) == 39
    [entry, *_] = ledger(user)
    assert (entry["ref"]["input"], entry["ref"]["output"]) == (30, 9)
    call = only(double)
    assert (call.path, call.body["instructions"], call.body["top_p"]) == (
        "/v1/responses",
        "Be brief.",
        0.5,
    )


def test_a_stream_ends_with_one_event_that_tells_the_cost(user: User, double: Double) -> None:
    prompt = double.script("x", Answer(input_tokens=30, reasoning_tokens=4, thinking="Hm."))
    events = [json.loads(data) for data in stream(user, prompt, "responses")]
    for event in events:
        EVENT.validate_python(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert text_of(events) == TEXT
    assert [one["type"] for one in events if "response" in one] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]
    assert events[-1]["vibe"] == {"tokensCharged": 39, "tokensLeft": 100_000 - 39}
    assert used(user) == 39


def test_events_have_their_names_and_come_at_once(user: User, double: Double) -> None:
    prompt = double.script("x", Answer(stop_at=3))
    lines: list[str] = []
    with streaming(user, prompt, "responses") as reply:
        for line in reply.iter_lines():
            lines.append(line)
            if '"delta":"two "' in line:
                assert not only(double).finished
                double.release("x")
    names = [line[7:] for line in lines if line.startswith("event: ")]
    kinds = [json.loads(line[6:])["type"] for line in lines if line.startswith("data: ")]
    assert names == kinds
    assert names[-1] == "response.completed"


def test_the_sdk_calls_tools_and_goes_on(gateway: Server, double: Double) -> None:
    prompt = double.script("x", Answer(tools=(Tool("weather", {"city": "Zürich"}),)), Answer())
    with app_at(gateway.url, double, responses_url=f"{double.url}/v1/responses") as app:
        sdk = app.chat()
        given: list[Any] = [{"role": "user", "content": prompt}]
        with sdk.responses.stream(model="openai-model", input=given, tools=[WEATHER]) as events:
            first = events.get_final_response()
        [call] = [item for item in first.output if item.type == "function_call"]
        assert json.loads(call.arguments) == {"city": "Zürich"}
        given += first.output
        given.append({"type": "function_call_output", "call_id": call.call_id, "output": "warm"})
        second = sdk.responses.create(model="openai-model", input=given, tools=[WEATHER])
        assert second.output_text == TEXT
        app.assert_charged(sum(one.usage.total_tokens for one in (first, second) if one.usage))


def test_structured_outputs_pass(user: User, double: Double) -> None:
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    text = {"format": {"type": "json_schema", "name": "a", "schema": schema, "strict": True}}
    assert ask(user, double.script("x", Answer()), "responses", text=text).status_code == 200
    assert only(double).body["text"] == text


def test_what_is_held_is_the_estimate_and_the_limit(
    client: httpx.Client, user: User, double: Double
) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 30_000}
    content = [{"type": "input_text", "text": "#x"}, image]
    double.script("x", Answer(stop_at=2))
    with streaming(user, content, "responses", max_output_tokens=500) as reply:
        plain = [{"role": "user", "content": [content[0], {**image, "image_url": ""}]}]
        expected = estimate(plain) + 1_600 + 500
        assert user.balance()["tokensHeld"] == pytest.approx(expected, abs=2)
        double.release("x")
        reply.read()
    assert used(user) == 25


def test_the_output_limit_is_cut_to_the_balance(client: httpx.Client, double: Double) -> None:
    user = user_of(client, {"main": speaking(double)}, tokens=60)
    prompt = double.script("x", Answer())
    assert ask(user, prompt, "responses", max_output_tokens=5_000).status_code == 200
    limit = 60 - estimate(turns(prompt))
    assert only(double).body["max_output_tokens"] == limit


def test_too_small_a_balance_for_the_least_limit_is_402(
    client: httpx.Client, double: Double
) -> None:
    """Of which the provider would refuse less."""
    prompt = double.script("x", Answer())
    tokens = estimate(turns(prompt)) + 15
    user = user_of(client, {"main": speaking(double)}, tokens=tokens)
    reply = ask(user, prompt, "responses")
    assert reply.status_code == 402
    assert (
        f"needs at least {tokens + 1} tokens; {tokens} are left" in reply.json()["error"]["message"]
    )
    assert double.calls() == []


def test_a_limit_that_the_provider_refuses_is_refused_in_its_words(
    user: User, double: Double
) -> None:
    reply = ask(user, double.script("x", Answer()), "responses", max_output_tokens=5)
    assert reply.status_code == 400
    assert "Expected a value >= 16" in reply.json()["error"]["message"]
    assert used(user) == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_another_endpoint_is_asked_where_one_fails_at_once(
    client: httpx.Client, double: Double, other: Double, streamed: bool
) -> None:
    """Which a stream says after it was announced."""
    user = user_of(client, {"main": speaking(double), "other": speaking(other)}, ["other"])
    prompt = double.script("x", Answer(pieces=(), finish_reason="failed", usage="absent"))
    if streamed:
        assert text_of(map(json.loads, stream(user, prompt, "responses"))) == TEXT
    else:
        assert ask(user, prompt, "responses").status_code == 200
    assert (len(double.calls()), len(other.calls())) == (1, 1)
    assert used(user) == 25


def test_an_incomplete_response_is_an_answer(user: User, double: Double) -> None:
    prompt = double.script("x", Answer(pieces=["a"] * 50))
    events = list(map(json.loads, stream(user, prompt, "responses", max_output_tokens=20)))
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert used(user) == 40


def test_a_client_does_not_wait_for_long_to_hear_of_a_response(
    brief_client: httpx.Client, double: Double
) -> None:
    """Until then it can fail without any trace; here the provider says no more before that."""
    user = user_of(brief_client, {"main": speaking(double)})
    with streaming(user, double.script("x", Answer(stop_at=1)), "responses") as reply:
        data = data_of(reply.iter_lines())
        assert json.loads(next(data))["type"] == "response.created"
        double.release("x")
        assert text_of(map(json.loads, data)) == TEXT
    assert used(user) == 25


def test_openai_s_own_host_has_them_beside_its_chats() -> None:
    for url, expected in {
        "https://api.openai.com/v1/chat/completions": "https://api.openai.com/v1/responses",
        "https://eu.api.openai.com/v1/chat/completions": "https://eu.api.openai.com/v1/responses",
        "https://example.com/v1/chat/completions": None,
        "https://api.openai.com/v1/others": None,
    }.items():
        assert TextEndpoint(url=url).url_of_responses == expected


def test_an_endpoint_with_headers_and_a_query_of_its_own(
    client: httpx.Client, double: Double
) -> None:
    """As Azure has them; also where a kept response is asked for."""
    members = {"headers": {"api-key": "of-azure-1234"}, "query": {"api-version": "v1"}}
    user = user_of(client, {"main": speaking(double, allow=["store"], **members)})
    response_id = ask(user, double.script("x", Answer()), "responses").json()["id"]
    assert only(double).headers["api-key"] == "of-azure-1234"
    assert only(double).query == "api-version=v1"
    assert user.api.get(f"/v1/responses/{response_id}", user.headers).status_code == 200


def test_without_a_key_no_header_says_that_there_is_one() -> None:
    assert RESPONSES.headers("", {}) == {"content-type": "application/json"}
    assert RESPONSES.headers("sk-1", {})["authorization"] == "Bearer sk-1"


def test_the_second_address_answers_too(user: User, double: Double) -> None:
    body = {"input": double.script("x", Answer())}
    reply = user.api.post("/v1" + PATHS["responses"], body, user.headers)
    assert reply.status_code == 200, reply.text
    assert used(user) == 25
