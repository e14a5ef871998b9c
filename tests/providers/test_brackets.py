"""The end of a JSON text is noticed at its last byte, however it is cut."""

import json

from hypothesis import given
from hypothesis import strategies as st

from server.providers.for_messages.brackets import Brackets

_TEXTS = st.text(alphabet='a"\\{}[],:\n', max_size=5)
_VALUES = st.recursive(
    st.integers() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=5,
)
_OBJECTS = st.dictionaries(_TEXTS, _VALUES, max_size=3)


@given(_OBJECTS, st.integers(1, 5))
def test_an_object_is_closed_at_its_end_and_not_before(value: dict[str, object], cut: int) -> None:
    text, brackets = json.dumps(value), Brackets()
    for at in range(0, len(text), cut):
        assert not brackets.are_closed
        brackets.read(text[at : at + cut])
    assert brackets.are_closed
