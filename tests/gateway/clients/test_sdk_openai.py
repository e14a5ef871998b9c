"""The official OpenAI SDK through the gateway, to providers of either protocol."""

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from tests.doubles import Answer, Double, Tool
from tests.gateway.sdks import PNG, PROTOCOLS, App, app_at
from tests.hurried import Hurried
from tests.processes import Server, Valkey

TEXT = "One two three four five."
WEATHER = (Tool("weather", {"city": "Zürich", "days": [1, 2, 3]}), Tool("time", {}))
OFFERED = [
    {"type": "function", "function": {"name": tool.name, "parameters": {"type": "object"}}}
    for tool in WEATHER
]


def asked(content: Any, **members: Any) -> dict[str, Any]:
    return {"model": "", "messages": [{"role": "user", "content": content}], **members}


def complete(chat: openai.OpenAI, content: Any, **members: Any) -> ChatCompletion:
    completion: ChatCompletion = chat.chat.completions.create(**asked(content, **members))
    return completion


def stream(chat: openai.OpenAI, content: Any, **members: Any) -> list[Any]:
    return list(chat.chat.completions.create(**asked(content, stream=True, **members)))


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_a_completion(app: App, key: str) -> None:
    prompt = app.double.script(key, Answer(input_tokens=30, cached_tokens=8))
    completion = complete(app.chat(), prompt)
    [choice] = completion.choices
    assert (choice.message.role, choice.message.content) == ("assistant", TEXT)
    assert (choice.finish_reason, completion.object) == ("stop", "chat.completion")
    usage = completion.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (30, 5, 35)
    assert usage.prompt_tokens_details.cached_tokens == 8
    assert app.last_call(key).used == 35
    app.assert_charged(35)


def test_what_a_call_cost_is_in_its_headers(app: App, key: str) -> None:
    raw = app.chat().chat.completions.with_raw_response.create(
        **asked(app.double.script(key, Answer())), extra_headers={"X-Request-ID": "app-1"}
    )
    assert (raw.headers["x-tokens-charged"], raw.headers["x-tokens-left"]) == ("25", "99975")
    completion = raw.parse()
    assert isinstance(completion, ChatCompletion)
    assert completion._request_id == raw.headers["x-request-id"] == "app-1"
    assert app.user.balance()["tokensLeft"] == 99_975


def test_a_stream_has_no_usage_unless_asked_for(app: App, key: str) -> None:
    prompt = app.double.script(key, Answer(output_tokens=77))
    plain = stream(app.chat(), prompt)
    assert (text_of(plain), plain[-1].choices[0].finish_reason) == (TEXT, "stop")
    assert all(chunk.choices and chunk.usage is None for chunk in plain)
    assert len({chunk.id for chunk in plain}) == 1
    app.assert_charged(97)
    *others, last = stream(app.chat(), prompt, stream_options={"include_usage": True})
    assert (text_of(others), last.choices) == (TEXT, [])
    assert all(chunk.usage is None for chunk in others)
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (20, 77)
    app.assert_charged(2 * 97)


async def test_the_async_client(app: App, key: str) -> None:
    prompt = app.double.script(key, Answer(pause=0.01))

    async def streamed() -> str:
        chunks = await chat.chat.completions.create(**asked(prompt, stream=True))
        return text_of([chunk async for chunk in chunks])

    async def whole() -> str:
        completion = await chat.chat.completions.create(**asked(prompt))
        return str(completion.choices[0].message.content)

    async with app.async_chat() as chat:
        calls = [call() for _ in range(5) for call in (streamed, whole)]
        assert await asyncio.gather(*calls) == [TEXT] * 10
    app.assert_charged(10 * 25)


@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools_are_called_and_their_results_answered(
    app: App, key: str, streamed: bool
) -> None:
    prompt = app.double.script(key, Answer(pieces=(), tools=WEATHER), Answer(pieces=["Sunny."]))
    chat = app.chat()
    if streamed:
        with chat.chat.completions.stream(**asked(prompt, tools=OFFERED)) as events:
            [choice] = events.get_final_completion().choices
    else:
        [choice] = complete(chat, prompt, tools=OFFERED).choices  # type: ignore[assignment]
    assert choice.finish_reason == "tool_calls"
    calls: list[Any] = list(choice.message.tool_calls or [])
    found = [(call.function.name, json.loads(call.function.arguments)) for call in calls]
    assert found == [(tool.name, tool.arguments) for tool in WEATHER]
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"of {call.function.name}"}
        for call in calls
    ]
    turns = [
        {"role": "user", "content": prompt},
        choice.message.model_dump(include={"role", "content", "tool_calls"}),
        *results,
    ]
    create: Any = chat.chat.completions.create
    answer = create(model="", messages=turns, tools=OFFERED)
    assert answer.choices[0].message.content == "Sunny."
    sent = json.dumps(app.last_call(key).body)
    assert all(said in sent for said in ("of weather", "of time", calls[0].id, calls[1].id))


def test_an_image(app: App, key: str) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    text = {"type": "text", "text": app.double.script(key, Answer())}
    assert complete(app.chat(), [text, image]).choices[0].message.content == TEXT
    assert PNG in json.dumps(app.last_call(key).body)


class City(BaseModel):
    name: str
    people: int


def test_a_structured_output(app: App, key: str) -> None:
    prompt = app.double.script(key, Answer(pieces=['{"name": "Bern",', ' "people": 140000}']))
    parsed = app.chat().chat.completions.parse(**asked(prompt), response_format=City)
    assert parsed.choices[0].message.parsed == City(name="Bern", people=140_000)
    assert "people" in json.dumps(app.last_call(key).body)


def test_several_choices(gateway: Server, double: Double, key: str) -> None:
    prompt = double.script(key, Answer())
    with app_at(gateway.url, double) as app:
        completion = complete(app.chat(), prompt, n=2)
        assert [choice.message.content for choice in completion.choices] == [TEXT, TEXT]
        chunks = stream(app.chat(), prompt, n=2)
        finished = [chunk.choices[0].index for chunk in chunks if chunk.choices[0].finish_reason]
        assert finished == [0, 1]
        app.assert_charged(2 * 30)


def test_models(gateway: Server, double: Double) -> None:
    with app_at(gateway.url, double, default_model="a", models=["b", "c"]) as app:
        assert [model.id for model in app.chat().models.list()] == ["a", "b", "c"]
        assert [model.owned_by for model in app.chat().models.list()] == ["main"] * 3


def test_a_base_url_with_v1_twice(app: App, key: str) -> None:
    chat = openai.OpenAI(**app.settings("/v1/v1"))
    assert complete(chat, app.double.script(key, Answer())).choices[0].message.content == TEXT
    assert chat.models.list().data


@pytest.mark.parametrize("call", [complete, stream])
def test_402_is_one_attempt(gateway: Server, double: Double, key: str, call: Any) -> None:
    with app_at(gateway.url, double, group={"tokens": 5}) as app:
        prompt = double.script(key, Answer())
        with pytest.raises(openai.APIStatusError) as refused:
            call(app.chat(max_retries=5), prompt)
        error = refused.value
        assert (error.status_code, error.code) == (402, "insufficient_quota")
        assert (error.type, error.response.json()["tokensLeft"]) == ("insufficient_quota", 5)
        assert error.request_id
        assert len(app.tap.attempts) == 1
        assert double.calls(key) == []
        app.assert_charged(0)


@pytest.mark.parametrize("call", [complete, stream])
def test_our_429_is_retried_after_its_retry_after(
    gateway: Server, double: Double, key: str, call: Any
) -> None:
    limits = {"rate_limit": 1, "rate_limit_window": 2}
    with app_at(gateway.url, double, group=limits) as app:
        prompt = double.script(key, Answer())
        with app.chat(max_retries=3) as chat:
            assert call(chat, prompt)
            assert call(chat, prompt)
        assert len(app.tap.attempts) == 3
        assert app.gaps()[1] >= app.retry_after()
        app.assert_charged(50)


@pytest.mark.parametrize("call", [complete, stream])
def test_a_providers_429_is_retried_after_its_retry_after(app: App, key: str, call: Any) -> None:
    busy = Answer(status=429, headers={"Retry-After": "1"})
    assert call(app.chat(max_retries=1), app.double.script(key, busy, Answer()))
    assert app.retry_after() == 1
    assert app.gaps()[0] >= 1
    app.assert_charged(25)
    with pytest.raises(openai.RateLimitError) as refused:
        call(app.chat(), app.double.script(key, busy))
    assert refused.value.code == "rate_limit_exceeded"


@pytest.mark.parametrize("call", [complete, stream])
@pytest.mark.parametrize(
    ("answer", "kind", "status", "code", "attempts"),
    [
        (Answer(status=400), openai.BadRequestError, 400, None, 1),
        (Answer(status=422), openai.UnprocessableEntityError, 422, None, 1),
        (Answer(status=401), openai.InternalServerError, 502, "provider_auth_error", 1),
        (Answer(status=403), openai.InternalServerError, 502, "provider_auth_error", 1),
        (Answer(status=402), openai.InternalServerError, 502, "provider_quota", 1),
        (Answer(status=500), openai.InternalServerError, 502, "provider_error", 2),
        (Answer(status=529), openai.InternalServerError, 502, "provider_error", 2),
        (Answer(cut_at=0), openai.InternalServerError, 502, "provider_error", 2),
    ],
)
def test_a_provider_that_fails(
    app: App,
    key: str,
    call: Any,
    answer: Answer,
    kind: type[openai.APIStatusError],
    status: int,
    code: str | None,
    attempts: int,
) -> None:
    with pytest.raises(kind) as refused:
        call(app.chat(max_retries=1), app.double.script(key, answer))
    assert (refused.value.status_code, refused.value.code) == (status, code)
    assert len(app.tap.attempts) == attempts
    app.assert_charged(0)


@pytest.mark.parametrize("answer", [Answer(cut_at=3), Answer(error_at=3)])
def test_a_stream_that_breaks_off(app: App, key: str, answer: Answer) -> None:
    prompt = app.double.script(key, answer)
    got: list[Any] = []
    chunks = app.chat(max_retries=2).chat.completions.create(**asked(prompt, stream=True))
    with pytest.raises(openai.APIError) as broken:
        got.extend(chunk for chunk in chunks)
    assert (text_of(got), broken.value.code) == ("One two ", "provider_error")
    assert len(app.tap.attempts) == 1
    app.assert_estimated()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_provider_that_is_late(hasty: Hurried, double: Double, key: str, protocol: str) -> None:
    with app_at(hasty.url, double, protocol) as app:
        for call in (complete, stream):
            with pytest.raises(openai.InternalServerError) as refused:
                call(app.chat(), double.script(key, Answer(delay=5)))
            assert (refused.value.status_code, refused.value.code) == (504, "provider_timeout")
        app.assert_charged(0)
        with pytest.raises(openai.APIError) as broken:
            stream(app.chat(), double.script(f"{key}-late", Answer(stop_at=3)))
        assert broken.value.code == "provider_timeout"
        app.assert_estimated()


def test_a_wrong_key(app: App) -> None:
    for call in (complete, stream):
        with pytest.raises(openai.AuthenticationError) as refused:
            call(app.chat(api_key="temp_nobody", max_retries=2), "Hello")
        assert (refused.value.code, refused.value.body is not None) == ("invalid_api_key", True)
    with pytest.raises(openai.AuthenticationError):
        app.chat(api_key="temp_nobody").models.list()
    assert len(app.tap.attempts) == 3


@pytest.mark.parametrize("call", [complete, stream])
@pytest.mark.parametrize(
    ("protocol", "members", "param"),
    [
        ("anthropic", {"logprobs": True}, "logprobs"),
        ("anthropic", {"n": 2}, "n"),
        ("anthropic", {"extra_body": {"unheard_of": 1}}, "unheard_of"),
        ("openai", {"web_search_options": {}}, "web_search_options"),
        ("openai", {"max_tokens": -1}, "max_tokens"),
    ],
)
def test_what_is_not_supported_is_named(
    gateway: Server,
    double: Double,
    call: Any,
    protocol: str,
    members: dict[str, Any],
    param: str,
) -> None:
    with app_at(gateway.url, double, protocol) as app:
        with pytest.raises(openai.BadRequestError) as refused:
            call(app.chat(max_retries=2), "Hello", **members)
        assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")
        assert param in refused.value.message
        assert len(app.tap.attempts) == 1
        app.assert_charged(0)


def test_unknown_members_are_passed_on(gateway: Server, double: Double, key: str) -> None:
    with app_at(gateway.url, double) as app:
        complete(app.chat(), double.script(key, Answer()), extra_body={"unheard_of": {"a": [1]}})
        assert app.last_call(key).body["unheard_of"] == {"a": [1]}


def test_redis_away(tmp_path: Path, double: Double, key: str) -> None:
    with Valkey(tmp_path / "valkey") as valkey:
        server = Server(
            tmp_path / "out",
            REDIS_URL=valkey.url,
            REDIS_TIMEOUT="0.3",
            ALLOW_PRIVATE_UPSTREAMS="1",
        )
        with server, app_at(server.url, double) as app:
            complete(app.chat(), double.script(key, Answer()))
            valkey.stop()
            with pytest.raises(openai.InternalServerError) as refused:
                complete(app.chat(max_retries=1), "Hello")
            assert (refused.value.status_code, refused.value.code) == (503, "service_unavailable")
            assert len(app.tap.attempts) == 3
