"""Figures as text."""

from collections.abc import Sequence
from statistics import median


def title(text: str) -> None:
    print(f"\n{text}")


def row(label: str, *columns: str, note: str = "") -> None:
    print(f"  {label:42}{''.join(text.rjust(20) for text in columns)}  {note}".rstrip())


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median, and in brackets the smallest and the largest."""
    low, middle, high = (
        f"{value:,.{digits}f}" for value in (min(values), median(values), max(values))
    )
    return f"{middle} ({low}-{high})"


def limit(values: Sequence[float], most: float) -> str:
    """Whether the median is within its limit."""
    word = "within" if median(values) <= most else "ABOVE"
    return f"{word} the limit of {most:g}"
