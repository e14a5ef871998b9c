"""A usage is evidence: what is charged for those that cannot be true."""

import json
from typing import Any

import httpx
import pytest

from tests.doubles import Answer, Double
from tests.doubles.quirks import HARMLESS, Quirk, usage
from tests.gateway.asking import (
    PROTOCOLS,
    ask,
    estimate,
    ledger,
    objects,
    stream,
    turns,
    used,
    user_at,
)

INPUT, OUTPUT = 31, 12
GUESS = 20
"""Of the output: 80 characters."""
PROMPT = -1
"""The estimate of the input."""
ANSWER = Answer(pieces=["abcdefgh"] * 10, input_tokens=INPUT, output_tokens=OUTPUT)

# What is reported, and what counts of it: input, output, whether some is estimated.
OPENAI: dict[str, tuple[Quirk, int, int, bool]] = {
    "zeros": (usage(prompt_tokens=0, completion_tokens=0, total_tokens=0), PROMPT, GUESS, True),
    "no input": (usage(prompt_tokens=0, total_tokens=OUTPUT), PROMPT, OUTPUT, True),
    "no input at all": (usage(prompt_tokens=None, total_tokens=None), PROMPT, OUTPUT, True),
    "no output": (usage(completion_tokens=0, total_tokens=INPUT), INPUT, GUESS, True),
    "too little output": (usage(completion_tokens=1, total_tokens=32), INPUT, GUESS, True),
    "half of it a text": (usage(completion_tokens="9", total_tokens=None), INPUT, GUESS, True),
    "half of it negative": (usage(prompt_tokens=-5, total_tokens=None), PROMPT, OUTPUT, True),
    "a total of 0": (usage(total_tokens=0), INPUT, OUTPUT, False),
    "a total of a part": (usage(total_tokens=INPUT), INPUT, OUTPUT, False),
    "a total with more": (usage(total_tokens=100), INPUT, 69, False),
    "the total alone": (
        usage(prompt_tokens=None, completion_tokens=None, total_tokens=100),
        *(80, 20, False),
    ),
    "the total for the input": (usage(prompt_tokens=0, total_tokens=50), 38, OUTPUT, False),
    "the total for the output": (usage(completion_tokens=0, total_tokens=50), INPUT, 19, False),
    "other names": (
        usage(prompt_tokens=None, completion_tokens=None, input_tokens=7, output_tokens=9),
        *(7, 36, False),
    ),
    "both names": (usage(input_tokens=0, output_tokens=0), INPUT, OUTPUT, False),
    "parts beyond the whole": (
        usage(
            prompt_tokens_details={"cached_tokens": 90},
            completion_tokens_details={"reasoning_tokens": 50},
        ),
        *(90, 50, False),
    ),
    "numbers of another kind": (
        usage(prompt_tokens=31.0, completion_tokens=12.0, total_tokens=43.0),
        *(INPUT, OUTPUT, False),
    ),
    "numbers with a rest": (usage(completion_tokens=12.5, total_tokens=None), INPUT, GUESS, True),
    "of the input what was cached alone": (
        usage(prompt_tokens=None, total_tokens=None, prompt_tokens_details={"cached_tokens": 70}),
        *(70, OUTPUT, True),
    ),
    "of the input less than it must be": (
        usage(prompt_tokens="12", total_tokens=None, prompt_tokens_details={"cached_tokens": 1}),
        *(PROMPT, OUTPUT, True),
    ),
    "the input as hits and misses": (
        usage(
            prompt_tokens=None,
            total_tokens=None,
            prompt_cache_hit_tokens=20,
            prompt_cache_miss_tokens=17,
        ),
        *(37, OUTPUT, False),
    ),
    "of the output what was reasoned alone": (
        usage(
            completion_tokens=None,
            total_tokens=None,
            completion_tokens_details={"reasoning_tokens": 500},
        ),
        *(INPUT, 500, True),
    ),
}
NO_INPUT = {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "input_tokens": 0}
ANTHROPIC: dict[str, tuple[Quirk, int, int, bool]] = {
    "zeros": (usage(**NO_INPUT, output_tokens=0), PROMPT, GUESS, True),
    "no input": (usage(**NO_INPUT), PROMPT, OUTPUT, True),
    "no output": (usage(output_tokens=0), INPUT, GUESS, True),
    "too little output": (usage(output_tokens=1), INPUT, GUESS, True),
    "half of it a text": (usage(output_tokens="9"), INPUT, GUESS, True),
    "all of it cached": (usage(**NO_INPUT | {"cache_read_input_tokens": 70}), 70, OUTPUT, False),
    "names of OpenAI's": (
        usage(input_tokens=0, output_tokens=0, prompt_tokens=INPUT, completion_tokens=OUTPUT),
        *(INPUT, OUTPUT, False),
    ),
    "numbers of another kind": (
        usage(input_tokens=31.0, output_tokens=12.0),
        *(INPUT, OUTPUT, False),
    ),
    "all of it cached, and no 0 written": (
        usage(
            input_tokens=None,
            cache_creation_input_tokens=None,
            cache_read_input_tokens=70,
        ),
        *(70, OUTPUT, False),
    ),
    "cached by another name": (
        usage(input_tokens_details={"cached_tokens": 90}),
        *(90, OUTPUT, False),
    ),
    "reasoned by another name": (
        usage(completion_tokens_details={"reasoning_tokens": 50}),
        *(INPUT, 50, False),
    ),
    "reasoned beside the rest": (usage(reasoning_tokens=50), INPUT, 50, False),
    "names of OpenAI's with what was cached": (
        usage(
            input_tokens=None,
            cache_creation_input_tokens=None,
            cache_read_input_tokens=None,
            output_tokens=None,
            prompt_tokens=10,
            completion_tokens=OUTPUT,
            prompt_tokens_details={"cached_tokens": 90},
        ),
        *(90, OUTPUT, False),
    ),
}
ROWS = [("openai", name) for name in OPENAI] + [("anthropic", name) for name in ANTHROPIC]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("spoken", "name"), ROWS)
def test_what_cannot_be_true_counts_as_not_reported(
    client: httpx.Client, double: Double, spoken: str, name: str, streamed: bool
) -> None:
    quirk, used_by_input, output, is_estimate = (OPENAI if spoken == "openai" else ANTHROPIC)[name]
    prompt = double.script("x", Answer(**{**vars(ANSWER), "quirks": (quirk,)}))
    user = user_at(client, double.url, spoken)
    if used_by_input == PROMPT:
        used_by_input = estimate(turns(prompt))
    for asked in PROTOCOLS:
        assert ask(user, prompt, asked, stream=streamed).status_code == 200
        tokens = used(user)
        entry = ledger(user)[0]["ref"]
        found = (entry["input"], entry["output"], entry.get("estimated", False))
        assert found == (used_by_input, output, is_estimate), asked
    assert tokens == 2 * (used_by_input + output)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("spoken", PROTOCOLS)
@pytest.mark.parametrize("name", HARMLESS)
def test_quirks_that_change_nothing(
    client: httpx.Client, double: Double, name: str, spoken: str, streamed: bool
) -> None:
    prompt = double.script("x", Answer(**{**vars(ANSWER), "quirks": (HARMLESS[name],)}))
    user = user_at(client, double.url, spoken)
    for asked in PROTOCOLS:
        reply = ask(user, prompt, asked, stream=streamed)
        assert (reply.status_code, "provider_error" in reply.text) == (200, False)
    assert used(user) == 2 * (INPUT + OUTPUT)
    assert "estimated" not in ledger(user)[0]["ref"]


# Of one field, what is reported in turn, and what of it counts.
FALLS: dict[str, tuple[dict[str, int], dict[str, int], int]] = {
    "the input": ({"input_tokens": 5_000}, {"input_tokens": 0}, 5_000),
    "the input a little": ({"input_tokens": 5_000}, {"input_tokens": 4_999}, 5_000),
    "the true one comes later": ({"input_tokens": 0}, {"input_tokens": 5_000}, 5_000),
    "what was cached": (
        {"input_tokens": 10, "cache_read_input_tokens": 4_000},
        {"input_tokens": 10, "cache_read_input_tokens": 0},
        4_010,
    ),
    "what was written": (
        {"input_tokens": 10, "cache_creation_input_tokens": 4_000},
        {"input_tokens": 20, "cache_creation_input_tokens": 0},
        4_020,
    ),
    "it was cached, as is told later": (
        {"input_tokens": 5_000, "cache_read_input_tokens": 0},
        {"input_tokens": 100, "cache_read_input_tokens": 4_900},
        5_000,
    ),
}


@pytest.mark.parametrize("name", FALLS)
def test_counts_of_a_message_do_not_fall(client: httpx.Client, double: Double, name: str) -> None:
    first, later, counted = FALLS[name]

    def quirk(sent: dict[str, Any]) -> list[dict[str, Any]]:
        if sent["type"] == "message_start":
            message = {**sent["message"], "usage": {**first, "output_tokens": 1}}
            return [{**sent, "message": message}]
        return [{**sent, "usage": {**later, "output_tokens": 25}}] if "usage" in sent else [sent]

    prompt = double.script("x", Answer(**{**vars(ANSWER), "quirks": (quirk,)}))
    user = user_at(client, double.url, "anthropic")
    assert stream(user, prompt, "anthropic")
    assert used(user) == counted + 25
    last = objects(stream(user, prompt, stream_options={"include_usage": True}))[-1]["usage"]
    assert (last["prompt_tokens"], last["total_tokens"]) == (counted, counted + 25)
    assert "estimated" not in ledger(user)[0]["ref"]


CACHED: dict[str, dict[str, Any]] = {
    "OpenAI": {"prompt_tokens_details": {"cached_tokens": 8}},
    "DeepSeek": {"prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 23},
    "Moonshot": {"cached_tokens": 8},
    "LiteLLM": {"cache_read_input_tokens": 8},
    "Mistral": {"num_cached_tokens": 8},
    "of a responses API": {"input_tokens_details": {"cached_tokens": 8}},
}


@pytest.mark.parametrize("name", CACHED)
def test_cached_tokens_by_other_names(client: httpx.Client, double: Double, name: str) -> None:
    quirk = usage(**{"prompt_tokens_details": None, **CACHED[name]})
    prompt = double.script("x", Answer(**{**vars(ANSWER), "quirks": (quirk,)}))
    user = user_at(client, double.url)
    told = ask(user, prompt, "anthropic").json()["usage"]
    assert (told["input_tokens"], told["cache_read_input_tokens"]) == (INPUT - 8, 8)
    assert json.dumps(told) in json.dumps(objects(stream(user, prompt, "anthropic")))
    assert used(user) == 2 * (INPUT + OUTPUT)
