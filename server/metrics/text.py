"""Prometheus' text format, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterable, Iterator, Mapping

from server.metrics.families import Family, Histogram, Labels

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(families: Iterable[Family], values: Mapping[str, Mapping[Labels, list[float]]]) -> bytes:
    """Each of the families with its `values`, by its name and by the labels."""
    lines: list[str] = []
    for family in families:
        lines += (
            f"# HELP {family.name} {family.about}",
            f"# TYPE {family.name} {family.kind}",
        )
        for labels, numbers in values[family.name].items():
            pairs = ",".join(
                f'{name}="{_escaped(str(value))}"'
                for name, value in zip(family.labels, labels, strict=True)
            )
            if isinstance(family, Histogram):
                lines += _histogram(family, pairs, numbers)
            else:
                lines.append(f"{family.name}{_braces(pairs)} {numbers[0]!r}")
    return "\n".join([*lines, ""]).encode()


def _histogram(family: Histogram, pairs: str, numbers: list[float]) -> Iterator[str]:
    comma = "," if pairs else ""
    total = 0.0
    for bound, count in zip([*map(str, family.bounds), "+Inf"], numbers[:-1], strict=True):
        total += count
        yield f'{family.name}_bucket{{{pairs}{comma}le="{bound}"}} {total!r}'
    yield f"{family.name}_sum{_braces(pairs)} {numbers[-1]!r}"
    yield f"{family.name}_count{_braces(pairs)} {total!r}"


def _braces(pairs: str) -> str:
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
