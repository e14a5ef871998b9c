"""Forms as Stripe reads them: `a[b][0][c]=d` is `{"a": {"b": [{"c": "d"}]}}`."""

import re
from collections.abc import Iterable
from typing import Any

_PART = re.compile(r"\[([^\]]*)\]")


def parse(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for name, value in pairs:
        first, *_ = name.split("[", 1)
        parts = [first, *_PART.findall(name)]
        place = whole
        for part in parts[:-1]:
            place = place.setdefault(part, {})
        last = parts[-1] or str(len(place))
        place[last] = value
    listed = _listed(whole)
    assert isinstance(listed, dict)
    return listed


def _listed(value: Any) -> Any:
    """With lists where the names are 0, 1, 2."""
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(each) for name, each in value.items()}
    if inner and [*inner] == [str(number) for number in range(len(inner))]:
        return [*inner.values()]
    return inner
