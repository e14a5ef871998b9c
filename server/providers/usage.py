"""Usage: what a provider says that a call has used."""

from typing import Any, NamedTuple

from server.amounts import is_amount

MESSAGE_COUNTS = (
    *("input_tokens", "output_tokens"),
    *("cache_creation_input_tokens", "cache_read_input_tokens"),
)


class Usage(NamedTuple):
    """Tokens; `input` includes cached ones, `output` includes reasoning."""

    input: int
    output: int

    @property
    def total(self) -> int:
        return self.input + self.output


def of_completion(value: Any) -> Usage | None:
    """The `usage` of a chat completion or of a chunk; None if it is not reported or no integers.

    OpenAI's `total_tokens` counts; cached and reasoning tokens are parts of the other two.
    """
    if not isinstance(value, dict):
        return None
    counts = _counts(value, "prompt_tokens", "completion_tokens", "total_tokens")
    if counts is None:
        return None
    prompt, completion, total = counts
    if total is None:
        if prompt is None or completion is None:
            return None
        total = prompt + completion
    used_by_input = total - (completion or 0) if prompt is None else prompt
    used_by_input = min(max(used_by_input, 0), total)
    return Usage(used_by_input, total - used_by_input)


def of_message(value: Any) -> Usage | None:
    """The `usage` of an Anthropic message; None if it is not reported or no integers.

    Anthropic's `input_tokens` leave out what was written to or read from a cache.
    """
    if not isinstance(value, dict):
        return None
    counts = _counts(value, *MESSAGE_COUNTS)
    if counts is None:
        return None
    fresh, output, *cached = counts
    if fresh is None or output is None:
        return None
    return Usage(fresh + sum(count or 0 for count in cached), output)


def _counts(value: dict[str, Any], *names: str) -> list[int | None] | None:
    """The members of these names, None for each that is absent; None if one is no count."""
    counts = [value.get(name) for name in names]
    # bool is an int to Python.
    if all(count is None or is_amount(count) for count in counts):
        return counts
    return None
