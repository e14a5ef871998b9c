"""Details of reasoning: what a stream gives in parts goes back in one piece, and only that."""

from typing import Any

import orjson
import pytest

from server.providers.for_messages.details import LONGEST, Decoder, Details, details_of, encoded
from server.providers.for_messages.request import to_chat
from server.providers.for_messages.stream import MessageStream
from tests.providers.completions import chunk

Parts = list[dict[str, Any]]


def text(piece: Any, **members: Any) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": piece, **members}


HIDDEN = {"type": "reasoning.encrypted", "data": "AY8="}
# The parts of one stream, a delta each, and what they are together.
STREAMS: dict[str, tuple[Parts, Parts]] = {
    "a text": ([text("H"), text("m"), text(".")], [text("Hm.")]),
    "a signature at the end": (
        [text("Hm", index=0), text(".", index=0), text("", index=0, signature="EqQ=")],
        [text("Hm.", index=0, signature="EqQ=")],
    ),
    "null until then": (
        [text("Hm.", signature=None), {"type": "reasoning.text", "signature": "EqQ="}],
        [text("Hm.", signature="EqQ=")],
    ),
    "two texts": (
        [text("A", index=0), text("B", index=1), text("C", index=1)],
        [text("A", index=0), text("BC", index=1)],
    ),
    "a text after a signed one": (
        [text("A", signature="EqQ="), text("B")],
        [text("A", signature="EqQ="), text("B")],
    ),
    "hidden ones": ([HIDDEN, HIDDEN], [HIDDEN, HIDDEN]),
    "a summary, hidden reasoning": (
        [
            {"type": "reasoning.summary", "summary": "S"},
            {"type": "reasoning.summary", "summary": "um"},
            HIDDEN,
        ],
        [{"type": "reasoning.summary", "summary": "Sum"}, HIDDEN],
    ),
    "no text at all": (
        [{"type": "x"}, {"type": "y", "text": 3}],
        [{"type": "x"}, {"type": "y", "text": 3}],
    ),
}


def signature_of(stream: MessageStream, *deltas: dict[str, Any]) -> str:
    events = [event for delta in deltas for event in stream.from_chunk(chunk(delta))]
    deltas_made = [event["delta"] for event in [*events, *stream.finish()] if "delta" in event]
    (signature,) = (made["signature"] for made in deltas_made if "signature" in made)
    return str(signature)


def sent_back(signature: str, endpoint: str) -> dict[str, Any]:
    block = {"type": "thinking", "thinking": "", "signature": signature}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [block]},
        {"role": "user", "content": "Go on"},
    ]
    message: dict[str, Any] = to_chat({"messages": turns}, endpoint)["messages"][1]
    return message


@pytest.mark.parametrize("name", ["reasoning_details", "thinking_blocks"])
@pytest.mark.parametrize("case", STREAMS)
def test_parts_of_a_stream_go_back_as_one(case: str, name: str) -> None:
    parts, whole = STREAMS[case]
    signature = signature_of(MessageStream("main"), *({name: [part]} for part in parts))
    assert sent_back(signature, "main") == {"role": "assistant", "content": "", name: whole}
    assert sent_back(signature, "other") == {"role": "assistant", "content": ""}


def test_what_is_too_long_is_left_out() -> None:
    stream = MessageStream("main")
    deltas = ({"reasoning_details": [text("x" * 1_000)]} for _ in range(2 * LONGEST // 1_000))
    assert "reasoning_details" not in sent_back(signature_of(stream, *deltas), "main")
    details = Details()
    for _ in range(LONGEST // 100):
        details.add({"reasoning_details": [text("x" * 1_000)]})
    assert details.kept < LONGEST + 2_000
    assert encoded({"reasoning_details": [text("x" * LONGEST)]}) == ""


@pytest.mark.parametrize("value", [[], {}, "x", {"model": "x"}, {"reasoning_details": 3}])
def test_nothing_but_details_goes_back(value: Any) -> None:
    signature = encoded(value) if isinstance(value, dict) else ""
    assert Decoder().decoded(signature) == {}
    for odd in ("", "%%%", "AAAA", "\u00e4", orjson.dumps(value).decode()):
        assert Decoder().decoded(odd) == {}


def test_all_of_a_request_have_a_bound_together() -> None:
    details = {"reasoning_details": [{"data": str(number)} for number in range(4_000)]}
    decoder, kept = Decoder(), encoded(details)
    assert decoder.decoded(kept) == details_of(details) == details
    assert decoder.decoded(kept) == {}
