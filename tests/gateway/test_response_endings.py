"""How responses end that are passed on: what is charged, and the one event that says so."""

import json
from typing import Any

import httpx
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.api import User
from tests.doubles import Answer, Double
from tests.endpoints import PROVIDER_KEY, endpoint
from tests.gateway.asking import ask, estimate, ledger, stream, streaming, turns, used, user_of
from tests.gateway.raw_provider import HEAD, RawProvider, sending, whole
from tests.processes import eventually

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
LAST = {"response.completed", "response.incomplete", "response.failed"}
USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 27,
}
BEGUN = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_790_000_000,
    "status": "in_progress",
    "model": "m",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
CREATED = {"type": "response.created", "sequence_number": 0, "response": BEGUN}
FAULT = {"code": "server_error", "message": f"It broke for {PROVIDER_KEY}"}


def delta(text: str, number: int = 1) -> dict[str, Any]:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    kind = "response.output_text.delta"
    return {"type": kind, "sequence_number": number, "delta": text, **place}


def last(status: str, number: int = 2, **members: Any) -> dict[str, Any]:
    response = {**BEGUN, "status": status, **members}
    return {"type": f"response.{status}", "sequence_number": number, "response": response}


def framed(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
        for event in events
    )


def user_at_responses(client: httpx.Client, url: str, **members: Any) -> User:
    return user_of(client, {"main": endpoint(url, responses_url=f"{url}/v1/responses", **members)})


def ended(user: User, prompt: Any) -> list[dict[str, Any]]:
    """The events of a stream, which has one last event, and that at its end."""
    events = [json.loads(data) for data in stream(user, prompt, "responses")]
    for event in events:
        EVENT.validate_python(event)
    assert [event["type"] in LAST for event in events] == [False] * (len(events) - 1) + [True]
    numbers = [event["sequence_number"] for event in events]
    assert numbers == sorted(set(numbers))
    return events


BROKEN = {
    "an error event": Answer(error_at=3),
    "cut": Answer(cut_at=3),
    "without its last event": Answer(without_done=True),
    "without the end of its item": Answer(without_finish=True),
}


@pytest.mark.parametrize("name", BROKEN)
def test_one_that_breaks_off_has_failed(client: httpx.Client, double: Double, name: str) -> None:
    """What has come was produced, and is estimated."""
    user = user_at_responses(client, double.url)
    prompt = double.script("x", BROKEN[name])
    event = ended(user, prompt)[-1]
    assert (event["type"], event["response"]["status"]) == ("response.failed", "failed")
    assert event["response"]["error"]["code"] == "server_error"
    assert event["response"]["id"].startswith("resp_")
    text = "One two three four five." if "without" in name else "One two "
    assert used(user) == estimate(turns(prompt)) + -(-len(text) // 4)
    assert ledger(user)[0]["ref"]["estimated"] is True


@pytest.mark.parametrize("line", [b"event: ", b"event:", b"id: 7\nevent: "])
def test_one_that_fails_with_its_usage_costs_that(client: httpx.Client, line: bytes) -> None:
    failed = framed(last("failed", error=FAULT, usage=USAGE)).replace(b"event: ", line)
    with RawProvider(sending(HEAD + framed(CREATED, delta("Hi")) + failed)) as provider:
        user = user_at_responses(client, provider.url, reasoning=True)
        event = ended(user, "Hi")[-1]
    assert event["response"]["error"]["message"] == "It broke for ***"
    assert event["response"]["error"]["code"] == "server_error"
    assert (event["response"]["id"], event["sequence_number"]) == ("resp_1", 2)
    assert used(user) == 27


def test_one_that_fails_at_once_is_free_and_no_stream(client: httpx.Client) -> None:
    busy = {"code": "rate_limit_exceeded", "message": "Too many"}
    failed = last("failed", 1, error=busy)
    with RawProvider(sending(HEAD + framed(CREATED, failed))) as provider:
        user = user_at_responses(client, provider.url)
        reply = ask(user, "Hi", "responses", stream=True)
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert used(user) == 0


@pytest.mark.parametrize("status", ["failed", "cancelled", "queued", "in_progress"])
def test_a_whole_one_that_is_none_is_free(client: httpx.Client, status: str) -> None:
    body = json.dumps({**BEGUN, "status": status, "error": FAULT if status == "failed" else None})
    with RawProvider(whole(body.encode())) as provider:
        user = user_at_responses(client, provider.url)
        reply = ask(user, "Hi", "responses")
    assert reply.status_code == 502, reply.text
    assert PROVIDER_KEY not in reply.text
    assert used(user) == 0


def test_reports_are_believed_as_those_of_chats_are(client: httpx.Client) -> None:
    """Fewer tokens than the text can have are none."""
    text = "abc " * 100
    done = last("completed", usage={**USAGE, "output_tokens": 1, "total_tokens": 21})
    with RawProvider(sending(HEAD + framed(CREATED, delta(text), done))) as provider:
        user = user_at_responses(client, provider.url)
        assert ended(user, "Hi")[-1]["type"] == "response.completed"
    assert used(user) == 20 + 100


def test_without_a_usage_the_text_counts_once(client: httpx.Client) -> None:
    """Though the events say it again and again; and of servers without deltas their last one."""
    text = "abc " * 10
    item = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    done = last("completed", output=[item])
    for events in ([CREATED, delta(text), done], [CREATED, done]):
        with RawProvider(sending(HEAD + framed(*events))) as provider:
            user = user_at_responses(client, provider.url)
            ended(user, "Hi")
        assert used(user) == estimate(turns("Hi")) + 10


def test_what_comes_after_the_last_event_changes_nothing(client: httpx.Client) -> None:
    more = framed(CREATED, delta("Hi"), last("completed", usage=USAGE), last("failed", 3))
    with RawProvider(sending(HEAD + more + b"data: [DONE]\n\n")) as provider:
        user = user_at_responses(client, provider.url)
        assert ended(user, "Hi")[-1]["type"] == "response.completed"
    assert used(user) == 27


@pytest.mark.parametrize("kind", ["null", "7", '["response.completed"]', '"a\\rdata: b"'])
def test_an_event_of_no_kind_passes(client: httpx.Client, kind: str) -> None:
    odd = b'data: {"type": %b}\n\n' % kind.encode()
    done = framed(last("completed", usage=USAGE))
    with RawProvider(sending(HEAD + framed(CREATED, delta("Hi")) + odd + done)) as provider:
        user = user_at_responses(client, provider.url)
        events = [json.loads(data) for data in stream(user, "Hi", "responses")]
    assert [event["type"] for event in events[-2:]] == [json.loads(kind), "response.completed"]
    assert used(user) == 27


def test_a_failure_is_the_next_event_of_what_was_never_announced(client: httpx.Client) -> None:
    with RawProvider(sending(HEAD + framed(delta("Hi", 4), delta(" you", 5)))) as provider:
        user = user_at_responses(client, provider.url)
        assert [event["sequence_number"] for event in ended(user, "Hi")] == [4, 5, 6]


def test_a_client_that_leaves_pays_for_what_has_come(client: httpx.Client, double: Double) -> None:
    user = user_at_responses(client, double.url)
    prompt = double.script("x", Answer(stop_at=3))
    with streaming(user, prompt, "responses") as reply:
        for line in reply.iter_lines():
            if '"delta":"two "' in line:
                break
    assert used(user) == estimate(turns(prompt)) + 2
    eventually(lambda: double.calls()[0].peer_gone)


@pytest.mark.parametrize("reasoning", [{"effort": "low"}, {"effort": "none"}])
def test_one_that_may_have_reasoned_unseen_costs_the_hold(
    client: httpx.Client, double: Double, reasoning: dict[str, str]
) -> None:
    user = user_at_responses(client, double.url)
    prompt = double.script("x", Answer(cut_at=3))
    members = {"reasoning": reasoning, "max_output_tokens": 300}
    assert "response.failed" in stream(user, prompt, "responses", **members)[-1]
    hold = estimate(turns(prompt), reasoning) + 300
    assert (abs(used(user) - hold) <= 2) == (reasoning["effort"] != "none")


def test_the_probabilities_of_all_tokens_pass(client: httpx.Client) -> None:
    """Too many values to be parsed, in the last events."""
    one = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}
    text = {"type": "output_text", "text": "aaaa", "annotations": [], "logprobs": [one] * 5_000}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
    said = {**item, "content": [text]}
    ending = [
        {
            "type": "response.output_item.done",
            "sequence_number": 2,
            "output_index": 0,
            "item": said,
        },
        last("completed", 3, output=[said], usage=USAGE),
    ]
    with RawProvider(sending(HEAD + framed(CREATED, delta("aaaa"), *ending))) as provider:
        user = user_at_responses(client, provider.url)
        events = ended(user, "Hi")
    assert events[-1]["response"]["output"] == [said]
    assert events[-1]["vibe"]["tokensCharged"] == used(user) == 27
    assert "estimated" not in ledger(user)[0]["ref"]


def test_more_probabilities_than_an_event_can_have_are_refused(
    client: httpx.Client, double: Double
) -> None:
    user = user_at_responses(client, double.url)
    members: Any = {"top_logprobs": 20, "max_output_tokens": 2_000}
    reply = ask(user, "Hi", "responses", stream=True, **members)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "top_logprobs")
    assert ask(user, "Hi", "responses", **members).status_code == 200


def test_one_beyond_its_limit_is_cut_off(client: httpx.Client, double: Double) -> None:
    user = user_at_responses(client, double.url)
    prompt = double.script("x", Answer(pieces=["abcdefgh" * 8] * 9, ignore_limit=True))
    events = stream(user, prompt, "responses", max_output_tokens=20)
    assert json.loads(events[-1])["type"] == "response.failed"
    assert used(user) > 0
