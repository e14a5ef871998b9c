"""Families of metrics in the memory of one worker: plain dicts, so that a request pays little."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import ClassVar

Labels = tuple[str | int, ...]

OTHER = "_other"
"""The label of all that are too many to name; no tenant can have it as its ID."""
MOST_NAMED = 200


class Family:
    """Metrics of one name by their labels.

    The first `bounded` labels come from configs: only the first MOST_NAMED different ones are
    named. The values of one metric are a list, so that those of several workers are added up alike.
    """

    kind: ClassVar[str]
    size = 1
    """Numbers per metric."""

    def __init__(self, name: str, about: str, *labels: str, bounded: int = 0) -> None:
        self.name = name
        self.about = about
        self.labels = labels
        self.values: dict[Labels, list[float]] = {}
        self._bounded = bounded
        self._named: set[Labels] = set()
        self.clear()

    def clear(self) -> None:
        self.values.clear()
        self._named.clear()
        if not self.labels:
            # From the start, at 0: of a counter that appears with its first event, Prometheus sees
            # no increase.
            self._new(())

    def restore(self, values: dict[Labels, list[float]]) -> None:
        for labels, numbers in values.items():
            self._new(labels)[:] = numbers

    def _new(self, labels: Labels) -> list[float]:
        """Adds the metric of these labels and returns its values; when too many are named already,
        those of the one that is labelled OTHER."""
        named, rest = labels[: self._bounded], labels[self._bounded :]
        if named not in self._named and len(self._named) >= MOST_NAMED:
            named = (OTHER,) * self._bounded
        else:
            self._named.add(named)
        return self.values.setdefault(named + rest, [0.0] * self.size)


class Counter(Family):
    kind = "counter"

    def add(self, labels: Labels = (), amount: float = 1.0) -> None:
        try:
            self.values[labels][0] += amount
        except KeyError:
            self._new(labels)[0] += amount


class Gauge(Counter):
    """What is so now: a worker that dies takes its part with it."""

    kind = "gauge"

    def set(self, amount: float) -> None:
        """Of one without labels."""
        self.values[()][0] = amount


class Histogram(Family):
    """The values are the counts up to each bound and above the last one, then the sum."""

    kind = "histogram"

    def __init__(
        self, name: str, about: str, *labels: str, bounds: Sequence[float], bounded: int = 0
    ) -> None:
        self.bounds = tuple(bounds)
        self.size = len(self.bounds) + 2
        super().__init__(name, about, *labels, bounded=bounded)

    def observe(self, value: float, labels: Labels = ()) -> None:
        try:
            numbers = self.values[labels]
        except KeyError:
            numbers = self._new(labels)
        numbers[bisect_left(self.bounds, value)] += 1.0
        numbers[-1] += value
