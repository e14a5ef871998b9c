"""The official Anthropic SDK through the gateway, to providers of either protocol."""

import asyncio
import json
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
from anthropic.types import Message

from tests.doubles import Answer, Double, Tool
from tests.gateway.sdks import PNG, PROTOCOLS, App, app_at
from tests.hurried import Hurried
from tests.processes import Server, Valkey

TEXT = "One two three four five."
WEATHER = (Tool("weather", {"city": "Zürich", "days": [1, 2, 3]}), Tool("time", {}))
OFFERED = [{"name": tool.name, "input_schema": {"type": "object"}} for tool in WEATHER]


def asked(content: Any, **members: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": content}]
    return {"model": "", "max_tokens": 100, "messages": turns, **members}


def complete(claude: anthropic.Anthropic, content: Any, **members: Any) -> Message:
    message: Message = claude.messages.create(**asked(content, **members))
    return message


def stream(claude: anthropic.Anthropic, content: Any, **members: Any) -> list[Any]:
    return list(claude.messages.create(**asked(content, stream=True, **members)))


def text_of(events: list[Any]) -> str:
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    return "".join(delta.text for delta in deltas)


def test_a_message(app: App, key: str) -> None:
    prompt = app.double.script(key, Answer(input_tokens=30, cached_tokens=8))
    message = complete(app.claude(), prompt, system="Be brief.")
    [block] = message.content
    assert block.type == "text"
    assert block.text == TEXT
    assert (message.type, message.role) == ("message", "assistant")
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    usage = message.usage
    counts = (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens)
    assert counts == (22, 8, 5)
    assert "Be brief." in json.dumps(app.last_call(key).body)
    app.assert_charged(35)


def test_what_a_call_cost_is_in_its_headers(app: App, key: str) -> None:
    raw = app.claude().messages.with_raw_response.create(
        **asked(app.double.script(key, Answer())), extra_headers={"X-Request-ID": "app-1"}
    )
    assert (raw.headers["x-tokens-charged"], raw.headers["x-tokens-left"]) == ("25", "99975")
    assert raw.headers["x-request-id"] == "app-1"
    message = raw.parse()
    assert isinstance(message, Message)
    assert message._request_id == "app-1"
    assert app.user.balance()["tokensLeft"] == 99_975


def test_a_stream(app: App, key: str) -> None:
    prompt = app.double.script(key, Answer(output_tokens=77))
    events = stream(app.claude(), prompt)
    kinds = [event.type for event in events if event.type != "content_block_delta"]
    assert kinds == [
        *("message_start", "content_block_start", "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    assert (text_of(events), events[-2].delta.stop_reason) == (TEXT, "end_turn")
    with app.claude().messages.stream(**asked(prompt)) as streamed:
        assert "".join(streamed.text_stream) == TEXT
        usage = streamed.get_final_message().usage
    assert (usage.input_tokens, usage.output_tokens) == (20, 77)
    app.assert_charged(2 * 97)


async def test_the_async_client(app: App, key: str) -> None:
    prompt = app.double.script(key, Answer(pause=0.01))

    async def streamed() -> str:
        async with claude.messages.stream(**asked(prompt)) as events:
            return "".join([text async for text in events.text_stream])

    async def whole() -> str:
        message = await claude.messages.create(**asked(prompt))
        return str(message.content[0].text)

    async with app.async_claude() as claude:
        calls = [call() for _ in range(5) for call in (streamed, whole)]
        assert await asyncio.gather(*calls) == [TEXT] * 10
    app.assert_charged(10 * 25)


@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools_are_called_and_their_results_answered(
    app: App, key: str, streamed: bool
) -> None:
    first = Answer(pieces=["Let me ", "see."], tools=WEATHER)
    prompt = app.double.script(key, first, Answer(pieces=["Sunny."]))
    claude = app.claude()
    if streamed:
        with claude.messages.stream(**asked(prompt, tools=OFFERED)) as events:
            message: Any = events.get_final_message()
    else:
        message = complete(claude, prompt, tools=OFFERED)
    text, *calls = message.content
    assert (text.text, message.stop_reason) == ("Let me see.", "tool_use")
    assert [(call.name, call.input) for call in calls] == [
        (tool.name, tool.arguments) for tool in WEATHER
    ]
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": f"of {call.name}"}
        for call in calls
    ]
    turns = [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": results},
    ]
    create: Any = claude.messages.create
    answer = create(model="", max_tokens=100, messages=turns, tools=OFFERED)
    assert answer.content[0].text == "Sunny."
    sent = json.dumps(app.last_call(key).body)
    assert all(said in sent for said in ("of weather", "of time", calls[0].id, calls[1].id))


def test_an_image(app: App, key: str) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    text = {"type": "text", "text": app.double.script(key, Answer())}
    message = complete(app.claude(), [text, {"type": "image", "source": source}])
    assert message.stop_reason == "end_turn"
    assert PNG in json.dumps(app.last_call(key).body)


def test_a_limit_cuts_the_answer(app: App, key: str) -> None:
    message = complete(app.claude(), app.double.script(key, Answer()), max_tokens=2)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 2)


def test_models(gateway: Server, double: Double) -> None:
    with app_at(gateway.url, double, default_model="a", models=["b", "c"]) as app:
        models = list(app.claude().models.list())
        assert [(model.id, model.type) for model in models] == [
            ("a", "model"),
            ("b", "model"),
            ("c", "model"),
        ]


def test_a_base_url_with_v1(app: App, key: str) -> None:
    claude = anthropic.Anthropic(**app.settings("/v1"))
    assert complete(claude, app.double.script(key, Answer())).stop_reason == "end_turn"
    assert claude.models.list().data


def test_the_key_as_older_sdks_send_it(app: App, key: str) -> None:
    headers = {"x-api-key": app.user.api_key, "anthropic-version": "2023-06-01"}
    body = asked(app.double.script(key, Answer()))
    reply = httpx.post(f"{app.base_url}/v1/messages", json=body, headers=headers)
    assert (reply.status_code, reply.json()["content"][0]["text"]) == (200, TEXT)
    models = httpx.get(f"{app.base_url}/v1/models", headers=headers)
    assert models.json()["data"][0]["type"] == "model"
    app.assert_charged(25)


def test_the_version_and_betas_reach_an_anthropic_provider(
    gateway: Server, double: Double, key: str
) -> None:
    with app_at(gateway.url, double, "anthropic") as app:
        prompt = double.script(key, Answer())
        complete(app.claude(), prompt, extra_headers={"anthropic-beta": "some-beta-2026-01-01"})
        sent = app.last_call(key).headers
        assert sent["anthropic-beta"] == "some-beta-2026-01-01"
        assert sent["anthropic-version"] == app.claude().default_headers["anthropic-version"]


@pytest.mark.parametrize("call", [complete, stream])
def test_402_is_one_attempt(gateway: Server, double: Double, key: str, call: Any) -> None:
    with app_at(gateway.url, double, group={"tokens": 5}) as app:
        prompt = double.script(key, Answer())
        with pytest.raises(anthropic.PaymentRequiredError) as refused:
            call(app.claude(max_retries=5), prompt)
        error = refused.value
        assert (error.status_code, error.type) == (402, "billing_error")
        assert error.response.json()["tokensLeft"] == 5
        assert error.request_id == error.response.headers["x-request-id"]
        assert len(app.tap.attempts) == 1
        assert double.calls(key) == []
        app.assert_charged(0)


def test_a_refusal_of_the_tenants_id_has_the_request_id(gateway: Server, double: Double) -> None:
    """Though it is in our own shape."""
    with app_at(gateway.url, double) as app:
        claude = app.claude(base_url=f"{app.tap.url}/no-such-tenant")
        with pytest.raises(anthropic.BadRequestError) as refused:
            complete(claude, "Hello")
    assert refused.value.request_id == refused.value.response.headers["x-request-id"]


@pytest.mark.parametrize("call", [complete, stream])
def test_our_429_is_retried_after_its_retry_after(
    gateway: Server, double: Double, key: str, call: Any
) -> None:
    limits = {"rate_limit": 1, "rate_limit_window": 2}
    with app_at(gateway.url, double, group=limits) as app:
        prompt = double.script(key, Answer())
        with app.claude(max_retries=3) as claude:
            assert call(claude, prompt)
            assert call(claude, prompt)
        assert len(app.tap.attempts) == 3
        assert app.gaps()[1] >= app.retry_after()
        app.assert_charged(50)


@pytest.mark.parametrize("call", [complete, stream])
def test_a_providers_429_is_retried_after_its_retry_after(app: App, key: str, call: Any) -> None:
    busy = Answer(status=429, headers={"Retry-After": "1"})
    assert call(app.claude(max_retries=1), app.double.script(key, busy, Answer()))
    assert app.retry_after() == 1
    assert app.gaps()[0] >= 1
    app.assert_charged(25)
    with pytest.raises(anthropic.RateLimitError) as refused:
        call(app.claude(), app.double.script(key, busy))
    assert refused.value.type == "rate_limit_error"


@pytest.mark.parametrize("call", [complete, stream])
@pytest.mark.parametrize(
    ("answer", "kind", "status", "code", "attempts"),
    [
        (Answer(status=400), anthropic.BadRequestError, 400, None, 1),
        (Answer(status=422), anthropic.UnprocessableEntityError, 422, None, 1),
        (Answer(status=401), anthropic.InternalServerError, 502, "provider_auth_error", 1),
        (Answer(status=403), anthropic.InternalServerError, 502, "provider_auth_error", 1),
        (Answer(status=402), anthropic.InternalServerError, 502, "provider_quota", 1),
        (Answer(status=500), anthropic.InternalServerError, 502, "provider_error", 2),
        (Answer(status=529), anthropic.InternalServerError, 502, "provider_error", 2),
        (Answer(cut_at=0), anthropic.InternalServerError, 502, "provider_error", 2),
    ],
)
def test_a_provider_that_fails(
    app: App,
    key: str,
    call: Any,
    answer: Answer,
    kind: type[anthropic.APIStatusError],
    status: int,
    code: str | None,
    attempts: int,
) -> None:
    with pytest.raises(kind) as refused:
        call(app.claude(max_retries=1), app.double.script(key, answer))
    assert (refused.value.status_code, error_of(refused.value).get("code")) == (status, code)
    assert len(app.tap.attempts) == attempts
    app.assert_charged(0)


def error_of(error: anthropic.APIStatusError) -> dict[str, Any]:
    body: Any = error.body
    assert body["type"] == "error"
    return dict(body["error"])


@pytest.mark.parametrize("answer", [Answer(cut_at=3), Answer(error_at=3)])
def test_a_stream_that_breaks_off(app: App, key: str, answer: Answer) -> None:
    prompt = app.double.script(key, answer)
    got: list[Any] = []
    events: Any = app.claude(max_retries=2).messages.create(**asked(prompt, stream=True))
    with pytest.raises(anthropic.APIStatusError) as broken:
        got.extend(event for event in events)
    assert (text_of(got), error_of(broken.value)["code"]) == ("One two ", "provider_error")
    assert len(app.tap.attempts) == 1
    app.assert_estimated()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_provider_that_is_late(hasty: Hurried, double: Double, key: str, protocol: str) -> None:
    with app_at(hasty.url, double, protocol) as app:
        for call in (complete, stream):
            with pytest.raises(anthropic.GatewayTimeoutError) as refused:
                call(app.claude(), double.script(key, Answer(delay=5)))
            assert refused.value.type == "timeout_error"
            assert error_of(refused.value)["code"] == "provider_timeout"
        app.assert_charged(0)
        with pytest.raises(anthropic.APIStatusError) as broken:
            stream(app.claude(), double.script(f"{key}-late", Answer(stop_at=3)))
        assert error_of(broken.value)["code"] == "provider_timeout"
        app.assert_estimated()


def test_a_wrong_key(app: App) -> None:
    for call in (complete, stream):
        with pytest.raises(anthropic.AuthenticationError) as refused:
            call(app.claude(api_key="temp_nobody", max_retries=2), "Hello")
        assert refused.value.type == "authentication_error"
    with pytest.raises(anthropic.AuthenticationError):
        app.claude(api_key="temp_nobody").models.list()
    assert len(app.tap.attempts) == 3


@pytest.mark.parametrize("call", [complete, stream])
@pytest.mark.parametrize(
    ("protocol", "members", "named"),
    [
        ("openai", {"extra_body": {"top_k": 5}}, "top_k"),
        ("openai", {"extra_body": {"unheard_of": 1}}, "unheard_of"),
        ("openai", {"stop_sequences": list("abcde")}, "stop_sequences"),
        ("anthropic", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools"),
        ("anthropic", {"max_tokens": -1}, "max_tokens"),
    ],
)
def test_what_is_not_supported_is_named(
    gateway: Server,
    double: Double,
    call: Any,
    protocol: str,
    members: dict[str, Any],
    named: str,
) -> None:
    with app_at(gateway.url, double, protocol) as app:
        with pytest.raises(anthropic.BadRequestError) as refused:
            call(app.claude(max_retries=2), "Hello", **members)
        assert refused.value.type == "invalid_request_error"
        assert named in error_of(refused.value)["message"]
        assert len(app.tap.attempts) == 1
        app.assert_charged(0)


def test_redis_away(tmp_path: Path, double: Double, key: str) -> None:
    with Valkey(tmp_path / "valkey") as valkey:
        server = Server(
            tmp_path / "out",
            REDIS_URL=valkey.url,
            REDIS_TIMEOUT="0.3",
            ALLOW_PRIVATE_UPSTREAMS="1",
        )
        with server, app_at(server.url, double, "anthropic") as app:
            complete(app.claude(), double.script(key, Answer()))
            valkey.stop()
            with pytest.raises(anthropic.ServiceUnavailableError) as refused:
                complete(app.claude(max_retries=1), "Hello")
            assert error_of(refused.value)["code"] == "service_unavailable"
            assert len(app.tap.attempts) == 3
