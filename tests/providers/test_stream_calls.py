"""Which call a delta belongs to, as the table in server/providers/for_messages/calls.py says; and
that a stream gives a call the input that the whole reply gives it."""

from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import example, given

from server.providers.for_chat.reply import from_message
from server.providers.for_messages.calls import HELD_CHARACTERS
from server.providers.for_messages.reply import from_completion
from server.providers.for_messages.stream import MessageStream
from tests.arbitrary import values
from tests.providers.completions import accumulated, call, chunk, completion, events, part

BONN, ROME = '{"city":"Bonn"}', '{"city":"Rome"}'


def delta(
    arguments: Any = None, name: str | None = None, call_id: str | None = None, index: Any = 0
) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    kept = {name: value for name, value in function.items() if value is not None}
    named = {} if call_id is None else {"id": call_id}
    numbered = {} if index is None else {"index": index}
    return chunk({"tool_calls": [{**numbered, **named, "function": kept}]})


def inputs(*chunks: dict[str, Any], reason: str = "tool_calls") -> list[tuple[str, Any]]:
    content = accumulated([*chunks, chunk({}, reason)])["content"]
    return [(block["name"], block["input"]) for block in content]


IN_BONN, IN_ROME = {"city": "Bonn"}, {"city": "Rome"}
CASES: dict[str, tuple[list[dict[str, Any]], list[tuple[str, Any]]]] = {
    # Without a name: to the call of its index that lacks arguments, whatever the ID.
    "another ID with the arguments": (
        [delta("", "rm", "call_a"), delta(BONN, None, "call_b")],
        [("rm", IN_BONN)],
    ),
    "another ID with each part": (
        [delta("", "rm", "a"), delta(BONN[:5], None, "b"), delta(BONN[5:], None, "c")],
        [("rm", IN_BONN)],
    ),
    "an ID later": ([delta("", "rm"), delta(BONN, None, "b")], [("rm", IN_BONN)]),
    "another ID and no index": (
        [delta("", "rm", "a", None), delta(BONN, None, "b", None)],
        [("rm", IN_BONN)],
    ),
    "an empty name": ([delta("", "rm", "a"), delta(BONN, "", "b")], [("rm", IN_BONN)]),
    "another ID and index": (
        [delta("", "rm", "a", 0), delta(BONN, None, "b", 1)],
        [("rm", IN_BONN)],
    ),
    "an index from the second part on": (
        [delta(BONN[:5], "rm", "a", None), delta(BONN[5:], None, None, 0)],
        [("rm", IN_BONN)],
    ),
    "another ID in the second of two calls": (
        [
            delta(BONN, "rm", "a", 0),
            delta("", "ls", "b", 1),
            delta(ROME[:4], None, "c", 1),
            delta(ROME[4:], None, "d", 1),
        ],
        [("rm", IN_BONN), ("ls", IN_ROME)],
    ),
    "IDs that come back, all at one index": (
        [
            delta(BONN[:5], "rm", "a"),
            delta(ROME[:5], "ls", "b"),
            delta(BONN[5:], None, "a"),
            delta(ROME[5:], None, "b"),
        ],
        [("rm", IN_BONN), ("ls", IN_ROME)],
    ),
    "IDs that come back, with names and no index": (
        [
            delta("", "f", "a", None),
            delta("", "f", "b", None),
            delta(BONN[:5], "f", "a", None),
            delta(ROME, "f", "b", None),
            delta(BONN[5:], "f", "a", None),
        ],
        [("f", IN_BONN), ("f", IN_ROME)],
    ),
    "the ID of a call that has all, with the arguments": (
        [delta(BONN, "rm", "a"), delta("", "ls", "b"), delta(ROME, None, "a")],
        [("rm", IN_BONN), ("ls", IN_ROME)],
    ),
    # A name after all arguments begins another call, and so does another name.
    "calls without IDs": (
        [delta(BONN, "f", ""), delta(ROME, "f", ""), delta('{"zone":"UTC"}', "g", "")],
        [("f", IN_BONN), ("f", IN_ROME), ("g", {"zone": "UTC"})],
    ),
    "calls without IDs or indexes": (
        [delta(BONN, "f", None, None), delta(ROME, "f", None, None)],
        [("f", IN_BONN), ("f", IN_ROME)],
    ),
    "calls that all have one ID": (
        [delta(BONN, "f", "call"), delta(ROME, "f", "call")],
        [("f", IN_BONN), ("f", IN_ROME)],
    ),
    "calls in parts without IDs": (
        [delta(BONN[:5], "f"), delta(BONN[5:]), delta(ROME[:5], "f"), delta(ROME[5:])],
        [("f", IN_BONN), ("f", IN_ROME)],
    ),
    "a name before its arguments, without IDs": (
        [delta(BONN, "f"), delta("", "f"), delta(ROME)],
        [("f", IN_BONN), ("f", IN_ROME)],
    ),
    "no arguments, then another name": (
        [delta("", "now"), delta(BONN, "f")],
        [("now", {}), ("f", IN_BONN)],
    ),
    "words and strings are arguments, too": (
        [delta("null", "f"), delta('"{}"', "f"), delta("{}", "f")],
        [("f", {}), ("f", {}), ("f", {})],
    ),
    "a name and another ID, no arguments yet": (
        [delta("", "f", "a"), delta("", "f", "b")],
        [("f", {}), ("f", {})],
    ),
    # The name again is the same call, as long as it lacks arguments.
    "a name with each part": (
        [delta(BONN[:3], "f"), delta(BONN[3:8], "f"), delta(BONN[8:], "f")],
        [("f", IN_BONN)],
    ),
    "a name and another ID amid the arguments": (
        [delta(BONN[:3], "f", "a"), delta(BONN[3:], "f", "b")],
        [("f", IN_BONN)],
    ),
    "a name with nothing at the end": (
        [delta(BONN, "f", "a"), delta("", "f", "a"), delta(None, "f")],
        [("f", IN_BONN)],
    ),
    # Nothing vanishes.
    "no name at all": ([delta(BONN, None, "a")], [("unknown", IN_BONN)]),
    "no name, after a call that has all": (
        [delta(BONN, "f", "a", 0), delta(ROME, None, "b", 1)],
        [("f", IN_BONN), ("unknown", IN_ROME)],
    ),
    "more than the arguments": (
        [delta(BONN, "f", "a"), delta(ROME)],
        [("f", {"arguments": BONN + ROME})],
    ),
    "arguments after the next call": (
        [delta(BONN, "f", "a", 0), delta("{}", "g", "b", 1), delta(ROME, None, None, 0)],
        [("f", IN_BONN), ("g", {}), ("unknown", IN_ROME)],
    ),
    "blanks after the next call": (
        [delta(BONN, "f", "a", 0), delta("{}", "g", "b", 1), delta("\n", None, None, 0)],
        [("f", IN_BONN), ("g", {})],
    ),
    "nothing": ([delta("", None, "a"), delta(None, None, None, 3)], []),
}


@pytest.mark.parametrize("case", CASES)
def test_the_call_of_a_delta(case: str) -> None:
    chunks, expected = CASES[case]
    assert inputs(*chunks) == expected


OLD: dict[str, list[dict[str, Any]]] = {
    "at once": [{"function_call": {"name": "f", "arguments": BONN}}],
    "in parts": [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": BONN[:5]}},
        {"function_call": {"arguments": BONN[5:]}},
    ],
    "both ways": [
        {
            "function_call": {"name": "f", "arguments": BONN},
            "tool_calls": [{"index": 0, **call("a", "f", BONN)}],
        }
    ],
    "without a function": [{"tool_calls": [{"id": "a", "name": "f", "arguments": BONN}]}],
    "without a list": [{"tool_calls": call("a", "f", BONN)}],
}


@pytest.mark.parametrize("reason", ["function_call", "tool_calls", "stop"])
@pytest.mark.parametrize("case", OLD)
def test_calls_of_other_forms(case: str, reason: str) -> None:
    """The whole reply is as the stream with one delta."""
    assert inputs(*map(chunk, OLD[case]), reason=reason) == [("f", IN_BONN)]
    if len(OLD[case]) == 1:
        message = from_completion(completion(reason, **OLD[case][0]))
        assert message["stop_reason"] == "tool_use"
        assert [(one["name"], one["input"]) for one in message["content"]] == [("f", IN_BONN)]


IDS: dict[str, list[dict[str, Any]]] = {
    "with the first arguments": [delta("", "f"), delta(BONN, None, "call_1")],
    "by itself": [delta("", "f"), delta("", None, "call_1"), delta(BONN)],
    "before the name": [delta("", None, "call_1"), delta(BONN, "f")],
    "an empty one before": [delta("", "f", ""), delta(BONN[:5], None, "call_1"), delta(BONN[5:])],
}


@pytest.mark.parametrize("case", IDS)
def test_an_id_that_comes_late(case: str) -> None:
    (block,) = accumulated([*IDS[case], chunk({}, "tool_calls")])["content"]
    assert (block["id"], block["input"]) == ("call_1", IN_BONN)


def test_a_call_without_an_id_or_arguments_is_one() -> None:
    assert inputs(delta("", "now")) == [("now", {})]


LONG = orjson.dumps({"text": "x" * HELD_CHARACTERS}).decode()
ARGUMENTS: list[Any] = [
    *(BONN, "", " ", "{}", "null", " null ", "3", "true", "[1]", '"a"', '""', '"null"', '"{"'),
    *(
        '{"city":',
        '{"city":"Bo',
        "{]",
        "not JSON",
        BONN + ROME,
        "}",
        '{"a":"\\ud83d"}',
        BONN + "\n",
    ),
    *(orjson.dumps(BONN).decode(), orjson.dumps(orjson.dumps(BONN).decode()).decode()),
    *(orjson.dumps("[1]").decode(), orjson.dumps(LONG).decode(), LONG),
    *(None, {"city": "Bonn"}, {}, [], [1], 3, 0, False, True, 1.5),
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_a_stream_gives_a_call_what_the_whole_reply_gives_it(arguments: Any) -> None:
    (whole,) = from_completion(completion(tool_calls=[call("a", "f", arguments)]))["content"]
    assert isinstance(whole["input"], dict)
    assert inputs(part(0, arguments, id="a", name="f")) == [("f", whole["input"])]
    assert inputs(part(0, "", id="a", name="f"), part(0, arguments)) == [("f", whole["input"])]


EXPECTED: list[tuple[Any, dict[str, Any]]] = [
    ({"city": "Bonn"}, IN_BONN),
    (BONN, IN_BONN),
    (orjson.dumps(BONN).decode(), IN_BONN),
    ("null", {}),
    ('"null"', {}),
    (None, {}),
    ("[1]", {"arguments": "[1]"}),
    ([1], {"arguments": [1]}),
    ("3", {"arguments": "3"}),
    ('{"city":"Bo', {"arguments": '{"city":"Bo'}),
    ('"a"', {"arguments": '"a"'}),
]


@pytest.mark.parametrize(("arguments", "expected"), EXPECTED)
def test_input_is_an_object(arguments: Any, expected: dict[str, Any]) -> None:
    assert inputs(part(0, arguments, id="a", name="f")) == [("f", expected)]


MANY = orjson.dumps('{"a":[' + "0," * 20_000 + "0]}").decode()
"""JSON in JSON, which a stream does not pass on as it comes."""


def test_the_inputs_of_an_answer_have_bounded_values_together() -> None:
    """As its structure has, in which each is but one string."""
    texts = [MANY, MANY, BONN]
    expected = [{"a": [0] * 20_001}, {"arguments": MANY}, {"arguments": BONN}]
    calls = [call(f"call_{number}", "f", text) for number, text in enumerate(texts)]
    whole = from_completion(completion(tool_calls=calls))["content"]
    assert [block["input"] for block in whole] == expected
    uses = [{"type": "tool_use", "name": "f", "input": text} for text in texts]
    called = from_message({"content": uses}, 0)["choices"][0]["message"]["tool_calls"]
    assert [orjson.loads(each["function"]["arguments"]) for each in called] == expected
    chunks = [part(n, text, id=f"call_{n}", name="f") for n, text in enumerate(texts)]
    assert inputs(*chunks) == [("f", each) for each in expected]


_json = values.map(lambda value: orjson.dumps(value).decode())
_texts = _json | _json.map(lambda text: orjson.dumps(text).decode()) | st.text(max_size=20)


@given(st.lists(_texts, max_size=3).filter(lambda all: len("".join(all)) <= HELD_CHARACTERS))
@example(["{}", "x"])
def test_any_arguments_in_pieces(pieces: list[str]) -> None:
    whole = from_completion(completion(tool_calls=[call("a", "f", "".join(pieces))]))["content"]
    chunks = [part(0, "", id="a", name="f"), *(part(0, piece) for piece in pieces)]
    assert inputs(*chunks) == [("f", block["input"]) for block in whole]


def test_large_arguments_are_passed_on_as_they_come() -> None:
    stream = MessageStream()
    stream.from_chunk(part(0, "", id="a", name="f"))
    assert stream.from_chunk(part(0, LONG[:-2]))[-1]["delta"]["partial_json"] == LONG[:-2]
    assert stream.from_chunk(part(0, '"}'))[-1]["delta"]["partial_json"] == '"}'


@pytest.mark.parametrize(
    ("arguments", "reason", "last"),
    [
        (LONG[:-2], "tool_calls", "error"),
        (LONG[:-2], "stop", "error"),
        (LONG + BONN, "tool_calls", "error"),
        (LONG[:-1] + "]", "tool_calls", "error"),
        (LONG[:-1] + ',"n":NaN}', "tool_calls", "error"),
        (LONG[:-1] + ',"a":"1\n2"}', "tool_calls", "error"),
        (LONG[:-1] + ' "a":1}', "stop", "error"),
        (LONG[:-1] + ' "a":1}', "length", "message_stop"),
        (LONG[:-1] + ',"a":"\\ud83d\\ude00"}\n', "tool_calls", "message_stop"),
        (LONG[:-1] + ',"a":[' + "0," * 60_000 + "0]}", "tool_calls", "message_stop"),
        (LONG, "tool_calls", "message_stop"),
        (LONG[:-2], "length", "message_stop"),
    ],
)
def test_no_app_makes_a_call_whose_arguments_are_broken(
    arguments: str, reason: str, last: str
) -> None:
    """But where the limit has cut them, apps are told that."""
    assert events([part(0, arguments, id="a", name="f"), chunk({}, reason)])[-1]["type"] == last
    pieces = [part(0, arguments[at : at + 90]) for at in range(0, len(arguments), 90)]
    chunks = [part(0, "", id="a", name="f"), *pieces, chunk({}, reason)]
    assert events(chunks)[-1]["type"] == last


def test_arguments_are_not_remembered_for_longer_than_their_call() -> None:
    stream = MessageStream()
    for number in range(3):
        stream.from_chunk(part(number, "", id=f"call_{number}", name="f"))
        stream.from_chunk(part(number, LONG[:-2]))
        assert stream.kept > HELD_CHARACTERS
        stream.from_chunk(part(number, "x" * 100_000))
        stream.from_chunk(part(number, '"}'))
    assert 100_000 < stream.kept < 150_000
