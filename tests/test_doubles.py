"""The doubles, held against the official SDKs: what these accept, the gateway may rely on."""

import base64
import json
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import anthropic
import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionMessageFunctionToolCall

from tests.doubles import ENDINGS, Answer, Call, Double, Filler, Tool, random_answer
from tests.processes import Process, eventually, free_port

WEATHER = (Tool("weather", {"city": "Zürich", "days": [1, 2, 3]}), Tool("time"))
PNG = base64.b64encode(b"no real image").decode()
PROTOCOLS = ["openai", "anthropic"]


@pytest.fixture(scope="module")
def double() -> Iterator[Double]:
    with Double() as double:
        yield double


@pytest.fixture
def key() -> str:
    return uuid4().hex


@pytest.fixture
def chat(double: Double) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{double.url}/v1", api_key="sk-1", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(double: Double) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=double.url, api_key="sk-1", max_retries=0) as client:
        yield client


def asked(content: Any, **members: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}], **members}


def complete(chat: openai.OpenAI, prompt: str, **members: Any) -> ChatCompletion:
    completion: ChatCompletion = chat.chat.completions.create(**asked(prompt, **members))
    return completion


def stream(chat: openai.OpenAI, prompt: str, **members: Any) -> list[Any]:
    return list(chat.chat.completions.create(**asked(prompt, stream=True, **members)))


def message(claude: anthropic.Anthropic, prompt: Any, **members: Any) -> Any:
    return claude.messages.create(**asked(prompt, **{"max_tokens": 100, **members}))


def events(claude: anthropic.Anthropic, prompt: str, **members: Any) -> list[Any]:
    return list(message(claude, prompt, stream=True, **members))


def post(double: Double, protocol: str, prompt: str, **members: Any) -> httpx.Response:
    """By hand; nothing but the body differs between the protocols."""
    path = "/v1/messages" if protocol == "anthropic" else "/v1/chat/completions"
    headers = {"authorization": "Bearer sk-1", "anthropic-version": "2023-06-01"}
    body = asked(prompt, **{"max_tokens": 100, **members})
    return httpx.post(double.url + path, json=body, headers=headers, timeout=10)


def data_of(text: str) -> list[dict[str, Any]]:
    lines = [line[6:] for line in text.split("\n") if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def only(double: Double, key: str) -> Call:
    """The one call of this key, when it has ended."""
    eventually(lambda: [call for call in double.calls(key) if call.ended])
    [call] = double.calls(key)
    return call


def test_a_completion(double: Double, chat: openai.OpenAI, key: str) -> None:
    prompt = double.script(key, Answer(input_tokens=30, cached_tokens=8, reasoning_tokens=4))
    completion = complete(chat, f"Count to five {prompt}!")
    choice, usage = completion.choices[0], completion.usage
    assert (choice.message.content, choice.finish_reason) == ("One two three four five.", "stop")
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (30, 9, 39)
    assert usage.prompt_tokens_details.cached_tokens == 8
    assert usage.completion_tokens_details.reasoning_tokens == 4
    call = only(double, key)
    assert (call.protocol, call.path, call.used) == ("openai", "/v1/chat/completions", 39)
    assert call.finished
    assert call.headers["authorization"] == "Bearer sk-1"


def test_a_message(double: Double, claude: anthropic.Anthropic, key: str) -> None:
    prompt = double.script(key, Answer(input_tokens=30, cached_tokens=8, cache_write_tokens=2))
    reply = message(claude, prompt)
    assert reply.content[0].text == "One two three four five."
    assert reply.stop_reason == "end_turn"
    assert (reply.usage.input_tokens, reply.usage.cache_read_input_tokens) == (20, 8)
    assert (reply.usage.cache_creation_input_tokens, reply.usage.output_tokens) == (2, 5)
    assert only(double, key).used == 35


def test_a_streamed_completion_reports_usage_only_when_asked(
    double: Double, chat: openai.OpenAI, key: str
) -> None:
    prompt = double.script(key, Answer(output_tokens=77))
    plain = stream(chat, prompt)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in plain).endswith("five.")
    assert all("usage" not in chunk.model_fields_set for chunk in plain)
    *others, last = stream(chat, prompt, stream_options={"include_usage": True})
    assert all("usage" in chunk.model_fields_set and chunk.usage is None for chunk in others)
    assert (last.choices, last.usage.completion_tokens) == ([], 77)
    assert [call.used for call in double.calls(key)] == [97, 97]


def test_a_streamed_message(double: Double, claude: anthropic.Anthropic, key: str) -> None:
    prompt = double.script(key, Answer(pieces=["a", "b"], reasoning_tokens=6, thinking="Well."))
    kinds = [event.type for event in events(claude, prompt)]
    block = ["content_block_start", *["content_block_delta"] * 2, "content_block_stop"]
    assert kinds == ["message_start", *block, *block, "message_delta", "message_stop"]
    with claude.messages.stream(**asked(prompt, max_tokens=100)) as streamed:
        final = streamed.get_final_message()
    assert [content.type for content in final.content] == ["thinking", "text"]
    assert (final.usage.input_tokens, final.usage.output_tokens) == (20, 8)
    assert b"event: ping\n" in post(double, "anthropic", prompt, stream=True).content


def test_parallel_tool_calls_of_openai(double: Double, chat: openai.OpenAI, key: str) -> None:
    prompt = double.script(key, Answer(pieces=(), tools=WEATHER))
    whole = complete(chat, prompt).choices[0]
    calls = whole.message.tool_calls or []
    assert (whole.finish_reason, whole.message.content) == ("tool_calls", None)
    functions = [
        call.function for call in calls if isinstance(call, ChatCompletionMessageFunctionToolCall)
    ]
    found = [Tool(function.name, json.loads(function.arguments)) for function in functions]
    assert tuple(found) == WEATHER
    with chat.chat.completions.stream(**asked(prompt)) as streamed:
        streamed_calls = streamed.get_final_completion().choices[0].message.tool_calls or []
    assert [call.function.name for call in streamed_calls] == [tool.name for tool in WEATHER]
    arguments = [json.loads(call.function.arguments) for call in streamed_calls]
    assert arguments == [tool.arguments for tool in WEATHER]


def test_parallel_tool_calls_of_anthropic(
    double: Double, claude: anthropic.Anthropic, key: str
) -> None:
    prompt = double.script(key, Answer(pieces=["Let me ", "see."], tools=WEATHER))
    with claude.messages.stream(**asked(prompt, max_tokens=100)) as streamed:
        replies = [message(claude, prompt), streamed.get_final_message()]
    for reply in replies:
        text, *tools = reply.content
        assert (text.text, reply.stop_reason) == ("Let me see.", "tool_use")
        assert tuple(Tool(tool.name, tool.input) for tool in tools) == WEATHER
        assert len({tool.id for tool in tools}) == 2


def test_several_choices(double: Double, chat: openai.OpenAI, key: str) -> None:
    prompt = double.script(key, Answer(reasoning_tokens=1))
    completion = complete(chat, prompt, n=3)
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 18
    chunks = stream(chat, prompt, n=3)
    finished = [chunk.choices[0].index for chunk in chunks if chunk.choices[0].finish_reason]
    assert finished == [0, 1, 2]


def test_images_are_accepted(
    double: Double, chat: openai.OpenAI, claude: anthropic.Anthropic, key: str
) -> None:
    text = {"type": "text", "text": double.script(key, Answer())}
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    assert chat.chat.completions.create(**asked([text, url])).choices[0].finish_reason == "stop"
    assert message(claude, [text, {"type": "image", "source": source}]).stop_reason == "end_turn"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_limit_cuts_the_answer(double: Double, key: str, protocol: str, streamed: bool) -> None:
    prompt = double.script(key, Answer(pieces=Filler(9, 2), reasoning_tokens=3))
    reply = post(double, protocol, prompt, max_tokens=7, stream=streamed)
    assert reply.text.count("xx") == 4
    assert ('"max_tokens"' if protocol == "anthropic" else '"length"') in reply.text
    assert only(double, key).used == 27


def test_a_completion_within_its_limit_ends_by_itself(double: Double, key: str) -> None:
    prompt = double.script(key, Answer())
    reply = post(double, "openai", prompt, max_tokens=5).json()
    assert reply["choices"][0]["finish_reason"] == "stop"


def test_a_limit_can_be_ignored(double: Double, key: str) -> None:
    prompt = double.script(key, Answer(ignore_limit=True))
    assert post(double, "openai", prompt, max_tokens=2).json()["usage"]["completion_tokens"] == 5
    body = asked(prompt, max_tokens=2, stream=True)
    headers = {"x-api-key": "sk-1"}
    with httpx.stream("POST", f"{double.url}/v1/chat/completions", json=body, headers=headers):
        eventually(lambda: double.calls(key)[-1].used > 20 + 50)
    eventually(lambda: double.calls(key)[-1].peer_gone)


@pytest.mark.parametrize(
    ("status", "of_openai", "of_anthropic"),
    [
        (400, openai.BadRequestError, anthropic.BadRequestError),
        (401, openai.AuthenticationError, anthropic.AuthenticationError),
        (402, openai.APIStatusError, anthropic.APIStatusError),
        (403, openai.PermissionDeniedError, anthropic.PermissionDeniedError),
        (404, openai.NotFoundError, anthropic.NotFoundError),
        (429, openai.RateLimitError, anthropic.RateLimitError),
        (500, openai.InternalServerError, anthropic.InternalServerError),
        (529, openai.InternalServerError, anthropic.InternalServerError),
    ],
)
def test_each_error_is_the_sdks_exception(
    double: Double,
    chat: openai.OpenAI,
    claude: anthropic.Anthropic,
    key: str,
    status: int,
    of_openai: type[openai.APIStatusError],
    of_anthropic: type[anthropic.APIStatusError],
) -> None:
    answer = Answer(status=status, code="some_code", headers={"retry-after": "7"})
    prompt = double.script(key, answer)
    with pytest.raises(of_openai) as refused:
        complete(chat, prompt)
    assert (refused.value.status_code, refused.value.code) == (status, "some_code")
    assert (refused.value.response.headers["retry-after"], refused.value.request_id) == (
        "7",
        "req_0123456789",
    )
    with pytest.raises(of_anthropic) as refused_too:
        message(claude, prompt)
    assert (refused_too.value.status_code, refused_too.value.request_id) == (
        status,
        "req_0123456789",
    )
    assert [call.used for call in double.calls(key)] == [0, 0]


def test_an_exhausted_quota(double: Double, chat: openai.OpenAI, key: str) -> None:
    prompt = double.script(key, Answer(status=429, code="insufficient_quota"))
    with pytest.raises(openai.RateLimitError) as refused:
        complete(chat, prompt)
    assert refused.value.type == "insufficient_quota"


def test_answers_come_in_turn(double: Double, chat: openai.OpenAI, key: str) -> None:
    prompt = double.script(key, Answer(status=500), Answer(pieces=["Now."]))
    with pytest.raises(openai.InternalServerError):
        complete(chat, prompt)
    for _ in range(2):
        assert complete(chat, prompt).choices[0].message.content == "Now."


def test_an_error_event(
    double: Double, chat: openai.OpenAI, claude: anthropic.Anthropic, key: str
) -> None:
    prompt = double.script(key, Answer(error_at=3, code="slow_down"))
    seen = []
    with pytest.raises(openai.APIError) as failed:
        seen.extend(chat.chat.completions.create(**asked(prompt, stream=True)))
    assert failed.value.code == "slow_down"
    with pytest.raises(anthropic.APIStatusError) as failed_too:
        events(claude, prompt)
    assert failed_too.value.type == "overloaded_error"
    assert [(call.used, call.finished) for call in double.calls(key)] == [(22, False)] * 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("cut_at", "used"), [(0, 0), (1, 20), (3, 22), (-1, 25)])
def test_a_stream_is_cut(double: Double, key: str, protocol: str, cut_at: int, used: int) -> None:
    prompt = double.script(key, Answer(cut_at=cut_at, pause=0.01))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        post(double, protocol, prompt, stream=True)
    call = only(double, key)
    assert (call.used, call.finished, call.peer_gone) == (used, False, False)


def test_the_sdks_see_a_cut(
    double: Double, chat: openai.OpenAI, claude: anthropic.Anthropic, key: str
) -> None:
    prompt = double.script(key, Answer(cut_at=0))
    with pytest.raises(openai.APIConnectionError):
        complete(chat, prompt)
    with pytest.raises(anthropic.APIConnectionError):
        message(claude, prompt)


@pytest.mark.parametrize(("cut_at", "used"), [(0, 0), (1, 25)])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_reply_as_a_whole_is_cut(
    double: Double, key: str, protocol: str, cut_at: int, used: int
) -> None:
    prompt = double.script(key, Answer(cut_at=cut_at))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        post(double, protocol, prompt)
    assert only(double, key).used == used


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_usage_that_is_no_usage(double: Double, key: str, protocol: str) -> None:
    prompt = double.script(key, Answer(usage="absent"), Answer(malformed="12"))
    assert "usage" not in post(double, protocol, prompt).json()
    counts = post(double, protocol, prompt).json()["usage"]
    assert counts["prompt_tokens" if protocol == "openai" else "input_tokens"] == "12"
    streamed = post(double, protocol, prompt, stream=True, stream_options={"include_usage": True})
    assert '_tokens":"12"' in streamed.text


def test_usage_beside_a_choice(double: Double, key: str) -> None:
    prompt = double.script(key, Answer(usage="with_choices"))
    last = data_of(post(double, "openai", prompt, stream=True).text)[-1]
    assert (last["choices"][0]["finish_reason"], last["usage"]["total_tokens"]) == ("stop", 25)


@pytest.mark.parametrize(
    ("fault", "kept", "lost"),
    [
        ({"without_finish": True}, "five.", ['"stop"', '"end_turn"', "[DONE]", "message_stop"]),
        ({"without_done": True}, "five.", ["[DONE]", "message_stop"]),
        ({"raw_body": b"<html>"}, "<html>", ["five."]),
    ],
    ids=["finish", "done", "raw"],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_that_is_not_as_it_should_be(
    double: Double, key: str, protocol: str, fault: dict[str, Any], kept: str, lost: list[str]
) -> None:
    prompt = double.script(key, Answer(**fault))
    text = post(double, protocol, prompt, stream=True).text
    assert kept in text
    assert not [word for word in lost if word in text]


def test_a_malformed_compressed_and_redirected_reply(double: Double, key: str) -> None:
    answers = Answer(raw_body=b'{"id":'), Answer(gzip=True), Answer(redirect="http://other/v1")
    prompt = double.script(key, *answers)
    assert post(double, "openai", prompt).content == b'{"id":'
    compressed = post(double, "openai", prompt)
    assert compressed.headers["content-encoding"] == "gzip"
    assert compressed.json()["usage"]["total_tokens"] == 25
    redirect = post(double, "openai", prompt)
    assert (redirect.status_code, redirect.headers["location"]) == (307, "http://other/v1")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_waits_for_its_release(double: Double, key: str, protocol: str) -> None:
    prompt = double.script(key, Answer(stop_at=1, reasoning_tokens=7))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, double, protocol, prompt, stream=True)
        eventually(lambda: [call for call in double.calls(key) if call.steps == 1])
        assert double.calls(key)[0].used == 27, "the reasoning is not free"
        double.release(key)
        assert "five." in waiting.result(10).text
    assert only(double, key).used == 32


@pytest.mark.parametrize(
    ("answer", "streamed", "used"),
    [
        (Answer(stop_at=3), True, 22),
        (Answer(stop_at=0), True, 20),
        (Answer(stop_at=0), False, 20),
        (Answer(delay=30), True, 0),
        (Answer(pause=30), True, 20),
    ],
    ids=["stream", "before the opening", "whole", "before the head", "pause"],
)
def test_a_disconnect_is_noticed(
    double: Double, key: str, answer: Answer, streamed: bool, used: int
) -> None:
    prompt = double.script(key, answer)
    body = json.dumps(asked(prompt, stream=streamed)).encode()
    host, port = double.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as peer:
        peer.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: double\r\nx-api-key: sk-1\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        eventually(lambda: [call for call in double.calls(key) if call.used == used])
    call = only(double, key)
    assert (call.peer_gone, call.finished, call.used) == (True, False, used)


def test_a_peer_that_does_not_read_stops_the_stream(double: Double, key: str) -> None:
    size, count = 100_000, 1_000
    prompt = double.script(key, Answer(pieces=Filler(count, size)))
    body, headers = asked(prompt, stream=True), {"x-api-key": "sk-1"}
    url = f"{double.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=30) as reply:
        last = [-1]

        def stands_still() -> bool:
            last.append(double.calls(key)[0].bytes_written)
            return len(last) > 50 and last[-1] == last[-50] > 0

        eventually(stands_still)
        assert last[-1] < size * count / 2
        received = sum(len(part) for part in reply.iter_raw())
    assert received == only(double, key).bytes_written > size * count


@pytest.mark.parametrize(
    ("headers", "members", "status"),
    [
        ({"authorization": "Bearer"}, {}, 401),
        ({"x-api-key": ""}, {}, 401),
        ({"x-api-key": "sk-1"}, {"max_tokens": None}, 400),
        ({"x-api-key": "sk-1"}, {"messages": [{"role": "user", "content": ""}]}, 400),
        ({"x-api-key": "sk-1", "anthropic-version": "2026-10-21"}, {"temperature": 1}, 400),
        ({"x-api-key": "sk-1", "anthropic-version": ""}, {}, 400),
        ({"x-api-key": "sk-1"}, {"temperature": 1}, 200),
    ],
)
def test_what_anthropic_refuses(
    double: Double, headers: dict[str, str], members: dict[str, Any], status: int
) -> None:
    body = asked("Hi", **{"max_tokens": 9, **members})
    headers = {"anthropic-version": "2023-06-01", **headers}
    reply = httpx.post(f"{double.url}/v1/messages", json=body, headers=headers)
    assert reply.status_code == status
    assert reply.json()["type"] == ("message" if status == 200 else "error")


@pytest.mark.parametrize(
    "members",
    [
        {"model": None},
        {"messages": []},
        {"messages": ["Hi"]},
        {"n": "2"},
        {"max_completion_tokens": 5, "max_tokens": 5},
        {"max_tokens": 0},
        {"stream_options": {"include_usage": True}},
        {"messages": [{"role": "tool", "tool_call_id": "none", "content": "5"}]},
    ],
)
def test_what_openai_refuses(double: Double, members: dict[str, Any]) -> None:
    body, headers = asked("Hi") | members, {"authorization": "Bearer sk-1"}
    reply = httpx.post(f"{double.url}/v1/chat/completions", json=body, headers=headers)
    assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error")


def test_the_models(chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    assert [model.id for model in chat.models.list()] == ["double-mini"]
    assert [model.id for model in claude.models.list()] == ["double-claude"]


def test_random_answers_are_the_same_for_a_seed() -> None:
    answers = [random_answer(seed) for seed in range(50)]
    assert answers == [random_answer(seed) for seed in range(50)]
    assert len(set(map(str, answers))) > 40
    assert random_answer(1, "cut before the head", pause=1.0).pause == 1.0
    assert all(random_answer(7, ending) for ending in ENDINGS)


def test_the_command_answers_and_stops(tmp_path: Path) -> None:
    port = str(free_port())
    command = [sys.executable, "-m", "tests.doubles", "--port", port]
    with Process(command, {}, tmp_path / "out") as process:
        eventually(lambda: "Listening on" in process.text())
        assert process.text() == f"Listening on http://127.0.0.1:{port}\n"
        url = f"http://127.0.0.1:{port}"
        with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as chat:
            completion = complete(chat, "Who are you?")
            chunks = stream(chat, "Who are you?", stream_options={"include_usage": True})
            short = complete(chat, "Who are you?", max_completion_tokens=3)
        content = completion.choices[0].message.content
        assert content is not None
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == content
        assert completion.usage == chunks[-1].usage
        assert completion.usage is not None
        assert completion.usage.completion_tokens == len(content.split())
        assert short.choices[0].finish_reason == "length"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_the_command_names_a_port_that_is_taken(double: Double, tmp_path: Path) -> None:
    port = double.url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "tests.doubles", "--port", port]
    with Process(command, {}, tmp_path / "out") as process:
        assert process.wait() == 1
        assert process.text().startswith("Cannot listen: ")
