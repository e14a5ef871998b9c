"""Hypothesis strategies for JSON that nobody would send, and for JSON that is nearly right."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import hypothesis.strategies as st

Path = tuple[str | int, ...]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
json_objects = st.dictionaries(st.text(max_size=8), values, max_size=4)


@st.composite
def damaged(draw: st.DrawFn, whole: dict[str, Any]) -> dict[str, Any]:
    """`whole` with one or two of the values in it replaced or left out, wherever they are."""
    copy = deepcopy(whole)
    for _ in range(draw(st.integers(1, 2))):
        *way, last = draw(st.sampled_from(list(_paths(copy))))
        holder: Any = copy
        for step in way:
            holder = holder[step]
        if draw(st.booleans()):
            holder[last] = draw(values)
        else:
            del holder[last]
        if not copy:
            break
    return copy


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """To each value within `value`."""
    items: Any = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for step, inner in items:
        yield (*path, step)
        yield from _paths(inner, (*path, step))
