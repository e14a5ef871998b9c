"""Usage: what a provider says that a call has used. It is evidence, not truth.

Whose names they are: `prompt_tokens`, `completion_tokens`, `total_tokens` of OpenAI; `input_tokens`
and `output_tokens` of Anthropic, and of servers of OpenAI's protocol that name them so too. Cached
tokens have a name with nearly each vendor.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from server.amounts import LARGEST, is_amount
from server.providers.reading import an_object, objects

MESSAGE_INPUTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_WHOLES = ("output_tokens", "prompt_tokens", "completion_tokens", "total_tokens")
_DETAILS = frozenset(
    {
        *("prompt_tokens_details", "input_tokens_details"),
        *("completion_tokens_details", "output_tokens_details"),
    }
)
_READ, _WRITTEN, _REASONING, _MISSED = range(4)
# The names of parts of the input and the output, here or in the details.
_PARTS = {
    **dict.fromkeys(("cached_tokens", "cache_read_input_tokens", "cache_read_tokens"), _READ),
    **dict.fromkeys(("prompt_cache_hit_tokens", "num_cached_tokens"), _READ),
    **dict.fromkeys(("prompt_cached_tokens", "cached_prompt_tokens"), _READ),
    **dict.fromkeys(("cache_write_tokens", "cache_creation_input_tokens"), _WRITTEN),
    **dict.fromkeys(("cache_creation_tokens", "cache_write_input_tokens"), _WRITTEN),
    **dict.fromkeys(("reasoning_tokens", "thinking_tokens"), _REASONING),
    "prompt_cache_miss_tokens": _MISSED,
}
_OF_PARTS = frozenset(_PARTS) | _DETAILS
_KEPT = (*MESSAGE_INPUTS, *_WHOLES, *_PARTS)


class Counts(NamedTuple):
    """What is reported, None where nothing is, or no count. `input` includes what was `read` from a
    cache and `written` to it, `output` the `reasoning`."""

    input: int | None = None
    output: int | None = None
    total: int | None = None
    read: int = 0
    written: int = 0
    reasoning: int = 0

    @property
    def sum(self) -> int:
        """The larger of what contradicts itself."""
        return max((self.input or 0) + (self.output or 0), self.total or 0)

    def grown(self, later: "Counts") -> "Counts":
        """With a later report. The counts are cumulative: one that is smaller is none."""
        if later == self:
            return self
        return Counts(*map(_larger, self, later))  # type: ignore[arg-type]

    def dearest(self, other: "Counts") -> "Counts":
        """The most that either can cost, whatever input and output do."""
        read, written = min(self.read, other.read), min(self.written, other.written)
        return self.grown(other)._replace(read=read, written=written)

    def beside(self, other: "Counts") -> "Counts":
        """Of two choices, which share their input."""
        if self.output is None or other.output is None:
            return self.grown(other)
        output, reasoning = self.output + other.output, self.reasoning + other.reasoning
        return self.grown(other)._replace(output=output, total=None, reasoning=reasoning)

    def believed(self, least: int, estimate: int) -> tuple[int | None, int | None]:
        """Input and output, each None if it is not reported or impossible: no prompt is of no
        tokens, and no output of fewer than `least`. What the total has beyond one half is the
        other; with neither, `estimate` is about the output."""
        used_by_input, output, total = self.input or None, self.output, self.total or 0
        if output is not None and output < least:
            output = None
        rest = total - (used_by_input or 0) - (output or 0)
        if rest <= 0:
            return used_by_input, output
        if output is not None:
            return (rest, output) if used_by_input is None else (used_by_input, output + rest)
        if used_by_input is not None:
            return used_by_input, rest if rest >= least else None
        if total <= least:
            return None, None
        output = min(max(estimate, least), total - 1)
        return total - output, output


def of_completion(value: Any) -> Counts | None:
    """The `usage` of a chat completion, of a chunk or of a response; None if it is none."""
    if not isinstance(value, dict):
        return None
    used_by_input = _amount(value, "prompt_tokens")
    return _counts(value, used_by_input or _known(_message_input(value), used_by_input))


def of_message(value: Any) -> Counts | None:
    """The `usage` of an Anthropic message; None if it is none.

    Anthropic's `input_tokens` leave out what was written to or read from a cache.
    """
    if not isinstance(value, dict):
        return None
    used_by_input = _message_input(value)
    return _counts(value, used_by_input or _known(_amount(value, "prompt_tokens"), used_by_input))


def reported_in(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each `usage` in an event of a message, wherever servers put it."""
    for place in (event, event.get("message"), event.get("delta")):
        if isinstance(place, dict) and isinstance(place.get("usage"), dict):
            yield place["usage"]


def of_chunk(chunk: dict[str, Any]) -> Counts | None:
    """What a chat completion or a chunk reports, wherever servers put it: Groq into `x_groq`,
    Moonshot into a choice."""
    found = of_completion(chunk.get("usage"))
    places = objects(chunk.get("choices"))
    if "x_groq" in chunk:
        places = [*places, an_object(chunk["x_groq"])]
    for place in places:
        if "usage" in place and (other := of_completion(place["usage"])) is not None:
            found = other if found is None else found.grown(other)
    return found


def numbers_in(usage: Any) -> dict[str, Any] | None:
    """What a `usage` says by names that are known, and nothing else; None if that is nothing."""
    if not isinstance(usage, dict):
        return None
    found: dict[str, Any] = {name: usage[name] for name in _KEPT if is_amount(usage.get(name))}
    for name in _DETAILS & usage.keys():
        found[name] = numbers_in(usage[name]) or {}
    return found or None


class MessageUsage:
    """The usage of one streamed message, whose events each report some of it."""

    def __init__(self) -> None:
        self.reported: dict[str, Any] = {}
        """Of the members that matter those that can be true, the last of each."""

    def report(self, usage: dict[str, Any]) -> None:
        """Counts are cumulative: one that is smaller than before is none, unless the rest of its
        half has grown by as much, as when it is told later what was cached."""
        before, after = self.reported, {**self.reported, **_amounts(usage)}
        for name in _DETAILS:
            if isinstance(usage.get(name), dict):
                after[name] = _amounts(usage[name])
        for half in (MESSAGE_INPUTS, *((name,) for name in _WHOLES)):
            if _sum(after, half) < _sum(before, half):
                for name in half:
                    if name in before:
                        after[name] = max(before[name], after[name])
        self.reported = after


def _counts(value: dict[str, Any], used_by_input: int | None) -> Counts:
    read, written, reasoning, missed = _parts(value)
    output = _larger(_amount(value, "completion_tokens"), _amount(value, "output_tokens"))
    if used_by_input is None and missed:  # with what was read they are all
        used_by_input = 0
    # A whole that is smaller than its parts is not the whole.
    if used_by_input is not None and used_by_input < read + written + missed:
        used_by_input = read + written + missed
    if output is not None and output < reasoning:
        output = reasoning
    return Counts(used_by_input, output, _amount(value, "total_tokens"), read, written, reasoning)


def _message_input(value: dict[str, Any]) -> int | None:
    used_by_input = _sum(value, MESSAGE_INPUTS)
    if _amount(value, "input_tokens") is not None:
        return used_by_input
    # Some leave zeros out.
    return used_by_input or None if value.get("input_tokens") is None else None


def _parts(value: dict[str, Any]) -> list[int]:
    """Read, written, reasoning, missed: of each the most that any name says."""
    found = [0, 0, 0, 0]
    if _OF_PARTS.isdisjoint(value):
        return found
    for name, given in value.items():
        if name in _PARTS:
            found[_PARTS[name]] = max(found[_PARTS[name]], _number(given) or 0)
        elif name in _DETAILS and isinstance(given, dict):
            for inner in given:
                if inner in _PARTS:
                    found[_PARTS[inner]] = max(found[_PARTS[inner]], _number(given[inner]) or 0)
    return found


def _amounts(value: dict[str, Any]) -> dict[str, int]:
    """Those of the members that matter."""
    found = {name: _amount(value, name) for name in _KEPT if name in value}
    return {name: amount for name, amount in found.items() if amount is not None}


def _amount(value: dict[str, Any], name: str) -> int | None:
    found = value.get(name)
    if type(found) is int and 0 <= found <= LARGEST:  # as is_amount, which would be 1 % of a call
        return found
    return None if found is None else _number(found)


def _number(found: Any) -> int | None:
    if type(found) is float and found.is_integer():  # JSON does not tell 12.0 from 12
        found = int(found)
    return found if is_amount(found) else None


def _sum(value: dict[str, Any], names: tuple[str, ...]) -> int:
    return sum(_amount(value, name) or 0 for name in names)


def _known(one: int | None, other: int | None) -> int | None:
    """The first that is known."""
    return other if one is None else one


def _larger(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
