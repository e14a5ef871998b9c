"""Where a usage stands: it is found wherever servers put it."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.doubles import Answer, Double
from tests.doubles.quirks import Quirk, usage_again, usage_in
from tests.gateway.asking import ledger, objects, stream, used, user_at
from tests.gateway.raw_provider import HEAD, RawProvider, sending

INPUT, OUTPUT = 31, 12
ANSWER = Answer(pieces=["abcdefgh"] * 10, input_tokens=INPUT, output_tokens=OUTPUT)
REPORT = {"input_tokens": INPUT, "output_tokens": OUTPUT}
# Of a message: what each event that has a usage becomes.
PLACES: dict[str, Callable[[dict[str, Any]], list[dict[str, Any]]]] = {
    "before the stop reason": lambda sent: [{**sent, "delta": {}}, without_usage(sent)],
    "after it": lambda sent: [without_usage(sent), {**sent, "delta": {}}],
    "in the delta": lambda sent: [
        {**without_usage(sent), "delta": {**sent["delta"], "usage": REPORT}}
    ],
    "with the last block's end": lambda sent: [
        {"type": "content_block_stop", "index": 0, "usage": REPORT},
        without_usage(sent),
    ],
    "with a block's delta": lambda sent: [
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": ""},
            "usage": REPORT,
        },
        without_usage(sent),
    ],
    "with another event": lambda sent: [
        without_usage(sent),
        {"type": "of_tomorrow", "usage": REPORT},
    ],
}


def without_usage(sent: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in sent.items() if name != "usage"}


@pytest.mark.parametrize("name", PLACES)
def test_usage_of_a_message_is_found_wherever_it_stands(
    client: httpx.Client, double: Double, name: str
) -> None:
    def quirk(sent: dict[str, Any]) -> list[dict[str, Any]]:
        return PLACES[name](sent) if "usage" in sent else [sent]

    prompt = double.script("x", Answer(**{**vars(ANSWER), "quirks": (quirk,)}))
    user = user_at(client, double.url, "anthropic")
    assert stream(user, prompt, "anthropic")
    assert used(user) == INPUT + OUTPUT
    last = objects(stream(user, prompt, stream_options={"include_usage": True}))[-1]["usage"]
    assert (last["prompt_tokens"], last["completion_tokens"]) == (INPUT, OUTPUT)
    assert used(user) == 2 * (INPUT + OUTPUT)
    assert "estimated" not in ledger(user)[0]["ref"]


def test_the_input_of_a_message_may_stand_beside_it(client: httpx.Client, double: Double) -> None:
    def quirk(sent: dict[str, Any]) -> list[dict[str, Any]]:
        if sent["type"] == "message_start":
            return [{**sent, "message": without_usage(sent["message"]), "usage": REPORT}]
        return [{**sent, "usage": {"output_tokens": 25}}] if "usage" in sent else [sent]

    prompt = double.script("x", Answer(**{**vars(ANSWER), "quirks": (quirk,)}))
    user = user_at(client, double.url, "anthropic")
    assert stream(user, prompt)
    assert stream(user, prompt, "anthropic")
    assert used(user) == 2 * (INPUT + 25)


@pytest.mark.parametrize("quirk", [usage_in("x_groq"), usage_in("choice"), usage_again()])
def test_usage_is_told_wherever_it_stood(
    client: httpx.Client, double: Double, quirk: Quirk
) -> None:
    prompt = double.script("x", Answer(**{**vars(ANSWER), "quirks": (quirk,)}))
    user = user_at(client, double.url)
    events = objects(stream(user, prompt, "anthropic"))
    assert events[-2]["usage"]["input_tokens"] == INPUT
    assert events[-2]["usage"]["output_tokens"] == OUTPUT


def reporting(output: int, index: int) -> bytes:
    counts = {"prompt_tokens": 20, "completion_tokens": output, "total_tokens": 20 + output}
    choice = {"index": index, "delta": {}, "finish_reason": "stop", "usage": counts}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


@pytest.mark.parametrize(
    ("choices", "reports", "output"),
    [
        (2, [(5, 0), (7, 1)], 12),
        (2, [(5, 0), (5, 1)], 10),
        (3, [(5, 2), (3, 2), (7, 0), (1, 1)], 13),
        (1, [(5, 0), (7, 0)], 7),
        (1, [(5, 0), (7, 1)], 7),
    ],
)
def test_choices_that_each_report_their_own(
    client: httpx.Client, choices: int, reports: list[tuple[int, int]], output: int
) -> None:
    events = b"".join(reporting(*report) for report in reports)
    with RawProvider(sending(HEAD + events + b"data: [DONE]\n\n")) as provider:
        user = user_at(client, provider.url)
        assert stream(user, "Hi", n=choices)[-1] == "[DONE]"
    assert used(user) == 20 + output
    assert "estimated" not in ledger(user)[0]["ref"]
