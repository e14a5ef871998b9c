"""What a double answers to one call, and how it goes wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tests.doubles.quirks import Quirk


class Pieces(Protocol):
    """The text, one chunk each: a list, a tuple or a Filler."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...


@dataclass(frozen=True)
class Filler:
    """`count` pieces of `size` characters, none of them made before it is sent."""

    count: int
    size: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[str]:
        return ("x" * self.size for _ in range(self.count))


@dataclass(frozen=True)
class Tool:
    """A call of a tool by the model."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Tokens are counts, times are seconds.

    An answer is given in steps, in any protocol the same ones:

        step 0        the opening; all the reasoning has been generated with it
        1 ... n       a piece of the text each, then the fragments of the tools' arguments
        n + 1         the finish reason; Anthropic's usage; the end of a response's last item
        n + 2         a completion's usage, if it was asked for; [DONE] or message_stop; the event
                      that ends a response, with its usage

    `stop_at`, `cut_at` and `error_at` are such numbers; negative ones count from the end, so that
    -2 is the finish and -1 the last step. n is smaller when a limit cuts the answer.
    """

    pieces: Pieces = ("One ", "two ", "three ", "four ", "five.")
    tools: tuple[Tool, ...] = ()
    finish_reason: str = ""
    """In OpenAI's words, or in the protocol's own; by default what fits. A response that is
    `failed` ends so."""
    thinking: str = ""
    """What a thinking block, or a response's summary, shows of the reasoning, if there is any."""

    input_tokens: int | None = 20
    """Cached ones included; None: an estimate of the request's."""
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int | None = None
    """All of the output, for all choices; None: the reasoning and what the chunks count."""
    reasoning_tokens: int = 0
    tokens_per_chunk: int = 1
    usage: Literal["reported", "absent", "with_choices"] = "reported"
    """`with_choices`: in the chunk that has the finish reason, asked for or not (OpenAI only)."""
    quirks: tuple[Quirk, ...] = ()
    """What this server sends otherwise than its protocol says; see quirks.py."""
    malformed: Any = None
    """Stands in the usage instead of each count: "12", 1.5, -1..."""

    delay: float = 0
    """Before the head of the reply."""
    pause: float = 0
    """Between the steps of a stream."""
    stop_at: int | None = None
    """The step before which the stream waits for `release`; a reply as a whole before its head."""

    status: int = 200
    """Any other: an error in the provider's shape, nothing used."""
    code: str = ""
    """Of that error, or of the one at `error_at`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Besides the usual ones, with any status."""
    redirect: str = ""
    """Where a 307 points to."""
    cut_at: int | None = None
    """The step before which the connection is reset; 0: before the head. A reply as a whole is
    reset in its middle, or with 0 before its head."""
    error_at: int | None = None
    """The step instead of which a stream ends with an error event."""
    raw_body: bytes | None = None
    """The body, instead of all that would be in it."""
    gzip: bool = False
    """A body that is no stream is compressed, asked for or not."""
    without_finish: bool = False
    """A stream ends after its last piece, as if that were its end."""
    done: str = "[DONE]"
    """OpenAI's last event."""
    without_done: bool = False
    """A stream ends without [DONE], message_stop or a response's last event."""
    ignore_limit: bool = False
    """A limit that was asked for does not cut; a stream then goes on for ever."""
