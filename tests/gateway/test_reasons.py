"""Why an answer ended, in the words of many servers."""

import json
from typing import Any

import httpx
import pytest

from tests.doubles import Answer, Double
from tests.doubles.quirks import finish
from tests.gateway.asking import PROTOCOLS, ask, data_of, objects, stream, used, user_at

# Of what is said, what the other side's clients get.
OF_COMPLETIONS = {
    **dict.fromkeys(("stop", "STOP", "eos", "COMPLETE", "end_turn"), "end_turn"),
    **dict.fromkeys(("endTurn", "end-turn", "FINISH_REASON_STOP", "eosFound", " stop"), "end_turn"),
    **dict.fromkeys(("length", "max_tokens", "MAX_TOKENS", "model_length"), "max_tokens"),
    **dict.fromkeys(("maxTokens", "max-tokens", "maxPredictedTokensReached"), "max_tokens"),
    **dict.fromkeys(("content_filter", "SAFETY", "RECITATION", "sensitive"), "refusal"),
    **dict.fromkeys(("content-filter", "contentFilter", "FINISH_REASON_SAFETY"), "refusal"),
    **dict.fromkeys(("of_tomorrow", "OTHER", "weird"), "max_tokens"),
}
# Those that are no word.
ODD: list[tuple[Any, str]] = [
    *((True, "end_turn"), ({"type": "stop"}, "end_turn"), ({"reason": "STOP"}, "end_turn")),
    *(({"type": "length"}, "max_tokens"), ({"type": "content_filter"}, "refusal")),
    *((7, "max_tokens"), (["stop"], "end_turn"), ({"x": 1}, "max_tokens")),
]
OF_MESSAGES = {
    **dict.fromkeys(("end_turn", "stop_sequence", "stop"), "stop"),
    **dict.fromkeys(("max_tokens", "pause_turn", "model_context_window_exceeded"), "length"),
    **dict.fromkeys(("refusal", "content_filtered", "guardrail_intervened"), "content_filter"),
    "of_tomorrow": "length",
}
FAILED = [
    *("error", "insufficient_system_resource", "ERROR", "abort", "MALFORMED_FUNCTION_CALL"),
    *("upstream_error", "internalServerException", "FINISH_REASON_ERROR", "timed-out"),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("reason", OF_COMPLETIONS)
def test_reasons_of_completions(
    client: httpx.Client, double: Double, reason: str, streamed: bool
) -> None:
    prompt = double.script("x", Answer(quirks=(finish(reason),)))
    reply = ask(user_at(client, double.url), prompt, "anthropic", stream=streamed)
    assert reason_of(reply, streamed) == OF_COMPLETIONS[reason]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("reason", "expected"), ODD)
def test_reasons_that_are_no_word(
    client: httpx.Client, double: Double, reason: Any, expected: str, streamed: bool
) -> None:
    prompt = double.script("x", Answer(quirks=(finish(reason),)))
    reply = ask(user_at(client, double.url), prompt, "anthropic", stream=streamed)
    assert reason_of(reply, streamed) == expected


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("reason", OF_MESSAGES)
def test_reasons_of_messages(
    client: httpx.Client, double: Double, reason: str, streamed: bool
) -> None:
    prompt = double.script("x", Answer(quirks=(finish(reason),)))
    reply = ask(user_at(client, double.url, "anthropic"), prompt, stream=streamed)
    assert reason_of(reply, streamed) == OF_MESSAGES[reason]


def reason_of(reply: httpx.Response, streamed: bool) -> str:
    assert reply.status_code == 200
    events = objects(data_of(reply.text.splitlines())) if streamed else [reply.json()]
    holders = [holder for each in events for holder in (each, *each.get("choices", []))]
    holders += [each.get("delta") or {} for each in events]
    found = [holder.get("stop_reason") or holder.get("finish_reason") for holder in holders]
    (reason,) = filter(None, found)
    return str(reason)


@pytest.mark.parametrize("spoken", PROTOCOLS)
@pytest.mark.parametrize("reason", FAILED)
def test_a_reason_that_is_a_failure(
    client: httpx.Client, double: Double, reason: str, spoken: str
) -> None:
    prompt = double.script("x", Answer(quirks=(finish(reason),)))
    for asked in PROTOCOLS:
        user = user_at(client, double.url, spoken)
        reply = ask(user, prompt, asked)
        assert (reply.status_code, used(user)) == (502, 0)
        *_, last = stream(user, prompt, asked)
        assert "error" in json.loads(last)
        assert used(user) > 0


STOPS: dict[str, tuple[dict[str, Any], str | None]] = {
    "vLLM": ({"stop_reason": "###"}, "###"),
    "SGLang": ({"matched_stop": "\n\n"}, "\n\n"),
    "a token": ({"matched_stop": 151645}, None),
    "a reason twice": ({"stop_reason": "stop"}, None),
    "nothing": ({"stop_reason": None}, None),
    "nothing in words": ({"stop_reason": "null"}, None),
    "Anthropic's reason": ({"stop_reason": "end_turn"}, None),
    "a reason in capitals twice": ({"finish_reason": "STOP", "stop_reason": "STOP"}, None),
    "a sequence that could be a reason": ({"stop_reason": "END"}, "END"),
    "one in small letters": ({"stop_reason": "done"}, "done"),
    "one that is one in capitals": ({"stop_reason": "STOP"}, "STOP"),
    "one that can be no reason": ({"matched_stop": "stop"}, "stop"),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", STOPS)
def test_a_matched_stop_sequence(
    client: httpx.Client, double: Double, name: str, streamed: bool
) -> None:
    members, sequence = STOPS[name]

    def quirk(sent: dict[str, Any]) -> list[dict[str, Any]]:
        choices = [
            {**choice, **(members if choice["finish_reason"] else {})} for choice in sent["choices"]
        ]
        return [{**sent, "choices": choices}]

    prompt = double.script("x", Answer(quirks=(quirk,)))
    reply = ask(user_at(client, double.url), prompt, "anthropic", stream=streamed)
    end = objects(data_of(reply.text.splitlines()))[-2]["delta"] if streamed else reply.json()
    reason = "end_turn" if sequence is None else "stop_sequence"
    assert (end["stop_reason"], end["stop_sequence"]) == (reason, sequence)
