"""The structure of a JSON text, counted without parsing it."""

import orjson
import pytest
from hypothesis import given, strategies

from server.structure import Structure, structure_of

JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers(0, 9) | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
)


def values_in(value: object) -> int:
    if isinstance(value, dict):
        return 1 + sum(1 + values_in(item) for item in value.values())
    return 1 + sum(map(values_in, value)) if isinstance(value, list) else 1


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(JSON)
def test_no_value_is_missed(value: object) -> None:
    text, values, depth = orjson.dumps(value), values_in(value), depth_of(value)
    found = structure_of(text, 1_000_000, 1_000)
    assert found is not None
    assert found.values >= values
    assert found.depth >= depth
    # What is within the bounds is never refused: each value has one mark at most, and a member two.
    assert structure_of(text, 2 * values + 1, depth) is not None
    if depth:
        assert structure_of(text, 1_000_000, depth - 1) is None
    if values > 2:
        assert structure_of(text, values // 2, 1_000) is None


def test_marks_in_strings_are_no_values() -> None:
    prose = orjson.dumps({"text": 'in "quotes", {braces}: [brackets] \\ ' * 10_000})
    assert structure_of(prose, 10, 10) == Structure(3, 1)


def test_escapes_end_no_string() -> None:
    texts = [r'"\\"', r'"\"[["', r'"]\\\"{"', r'"\n\\\\"', r'"\u005c,"']
    text = f"[{','.join(4 * texts)}]".encode()
    assert len(orjson.loads(text)) == 20
    assert structure_of(text, 21, 1) == Structure(21, 1)
    assert structure_of(text, 20, 1) is None


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"{}," * 3_000_000 + b"{}]",
        b"[" + b'"",' * 3_000_000 + b'""]',
        b"[" * 10_000_000,
        b'{"' + b'\\"' * 5_000_000 + b'":' + b"[" * 200 + b"]" * 200 + b"}",
        b"}" * 10_000_000 + b"," * 50_000,
    ],
)
def test_large_texts_are_refused_early(text: bytes) -> None:
    assert structure_of(text, 50_000, 100) is None
