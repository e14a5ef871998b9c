"""Characters that a stream cuts in two, each half an escape in an event of its own, are whole where
events are translated."""

import json
from typing import Any

import httpx
import pytest

from tests.gateway.asking import objects, stream, text_of, user_at
from tests.gateway.raw_provider import HEAD, RawProvider, sending

FIRST, SECOND = "\\ud83d", "\\ude00"
CASES: dict[str, tuple[list[str], str]] = {
    "two halves": ([FIRST, SECOND], "😀"),
    "amid text": (["a" + FIRST, SECOND + "b"], "a😀b"),
    "in capitals": (["\\uD83D", "\\uDE00"], "😀"),
    "two in a row": ([FIRST, SECOND + FIRST, SECOND], "😀😀"),
    "a whole one": ([FIRST + SECOND, "x"], "😀x"),
    "the first alone": ([FIRST, "x"], "\ufffdx"),
    "the first at the end": (["x" + FIRST], "x\ufffd"),
    "the second alone": (["x", SECOND], "x\ufffd"),
    "the first twice": ([FIRST, FIRST, SECOND], "\ufffd😀"),
    "no escapes": (["\\\\ud83d", "\\\\ude00"], "\\ud83d\\ude00"),
    "with an empty event between": ([FIRST, "", "", SECOND], "😀"),
    "with an empty event and no other half": ([FIRST, "", "x"], "\ufffdx"),
}


def chunks(texts: list[str], member: str = "content", usage: str = "null") -> bytes:
    data = [
        f'{{"choices":[{{"index":0,"delta":{{"{member}":"{text}"}}}}],"usage":{usage}}}'
        for text in texts
    ]
    data += ['{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}', "[DONE]"]
    return HEAD + "".join(f"data: {each}\n\n" for each in data).encode()


def events(texts: list[str]) -> bytes:
    block = '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'
    delta = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}'
    data = [
        '{"type":"message_start","message":{"usage":{"input_tokens":9,"output_tokens":1}}}',
        *(block, *(delta % text for text in texts), '{"type":"content_block_stop","index":0}'),
        '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}',
        '{"type":"message_stop"}',
    ]
    framed = (f"event: {json.loads(each)['type']}\ndata: {each}\n\n" for each in data)
    return HEAD + "".join(framed).encode()


def streamed(client: httpx.Client, answer: bytes, spoken: str, asked: str) -> list[dict[str, Any]]:
    with RawProvider(sending(answer)) as provider:
        return objects(stream(user_at(client, provider.url, spoken), "Hi", asked))


@pytest.mark.parametrize("case", CASES)
def test_a_character_in_two_deltas(client: httpx.Client, case: str) -> None:
    texts, expected = CASES[case]
    assert text_of(streamed(client, chunks(texts), "openai", "anthropic")) == expected
    assert text_of(streamed(client, events(texts), "anthropic", "openai")) == expected


BETWEEN = [
    *(b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1}}', b": hb"),
    *(b'data: {"choices":[{"index":0,"delta":{}}]}', b'event: ping\ndata: {"type":"ping"}'),
]


@pytest.mark.parametrize("between", BETWEEN)
def test_a_sign_of_life_between_the_halves(client: httpx.Client, between: bytes) -> None:
    for answer, spoken, asked in (
        (chunks(["a" + FIRST, SECOND]), "openai", "anthropic"),
        (events(["a" + FIRST, SECOND]), "anthropic", "openai"),
    ):
        at = answer.rindex(b"\n\n", 0, answer.index(SECOND.encode()))
        answer = answer[:at] + b"\n\n" + between + answer[at:]
        assert text_of(streamed(client, answer, spoken, asked)) == "a😀"


@pytest.mark.parametrize("member", ["reasoning_content", "refusal"])
def test_a_character_in_other_texts(client: httpx.Client, member: str) -> None:
    found = streamed(client, chunks([FIRST, SECOND], member), "openai", "anthropic")
    deltas = [event["delta"] for event in found if event["type"] == "content_block_delta"]
    assert "".join(delta.get("thinking", "") + delta.get("text", "") for delta in deltas) == "😀"


def test_a_character_in_arguments(client: httpx.Client) -> None:
    call = '"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"%s"}}]'
    parts = ['{\\"a\\":\\"' + FIRST, SECOND + '\\"}']
    data = [f'{{"choices":[{{"index":0,"delta":{{{call % part}}}}}]}}' for part in parts]
    data += ['{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}', "[DONE]"]
    body = HEAD + "".join(f"data: {each}\n\n" for each in data).encode()
    found = streamed(client, body, "openai", "anthropic")
    texts = [
        event["delta"]["partial_json"] for event in found if event.get("delta", {}).get("type")
    ]
    assert json.loads("".join(texts)) == {"a": "😀"}


ODD = {
    "parts and then a text": (['"content":["a\\ud83d"]', '"content":"\\ude00b"'], "\ufffdb"),
    "beside a name with one": (
        [
            '"content":"\\ud83d","tool_calls":'
            '[{"function":{"name":"f","arguments":{"\\ud83d":12345678901234567890123}}}]',
            '"content":"\\ude00"',
        ],
        "😀",
    ),
    "beside another text": (
        ['"content":"a\\ud83d","reasoning_content":"b"', '"content":"\\ude00"'],
        "a😀",
    ),
    "beside another text, alone": (
        ['"content":"a\\ud83d","reasoning_content":"b"', '"content":"c"'],
        "a\ufffdc",
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_halves_in_odd_places(client: httpx.Client, case: str) -> None:
    deltas, expected = ODD[case]
    data = [f'{{"choices":[{{"index":0,"delta":{{{delta}}}}}]}}' for delta in deltas]
    data += ['{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}', "[DONE]"]
    body = HEAD + "".join(f"data: {each}\n\n" for each in data).encode()
    found = streamed(client, body, "openai", "anthropic")
    assert found[-1] == {"type": "message_stop"}
    assert text_of(found) == expected
    thoughts = [event["delta"].get("thinking", "") for event in found if "delta" in event]
    assert "".join(thoughts) == ("b" if "reasoning" in deltas[0] else "")


def test_usage_beside_halves_is_left_out_and_they_stay(client: httpx.Client) -> None:
    """Where nothing is translated clients join them."""
    usage = '{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}'
    found = streamed(client, chunks([FIRST, SECOND], usage=usage), "openai", "openai")
    assert not any(event.get("usage") for event in found)
    text = text_of(found).encode("utf-16", "surrogatepass").decode("utf-16")
    assert text == "😀"
