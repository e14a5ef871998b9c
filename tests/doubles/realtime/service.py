"""How a session goes, and how it goes wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.doubles.answer import Pieces, Tool


@dataclass(frozen=True)
class End:
    """An `error` event, if it has a code, and the close."""

    close: int
    reason: str
    code: str = ""
    kind: str = "invalid_request_error"
    message: str = "The double ends this session."


def _refusal(close: int, code: str, message: str, kind: str = "invalid_request_error") -> End:
    return End(close, f"{kind}.{code}", code, kind, message)


_NO_CREDIT = "You exceeded your current quota, organization org-of-the-tenant."

ENDS = {
    "invalid_api_key": _refusal(
        3000, "invalid_api_key", "Incorrect API key provided: sk-of-the-tenant."
    ),
    "missing_model": _refusal(4000, "missing_model", "You must provide a model parameter."),
    "model_not_found": _refusal(
        4000, "model_not_found", "The model does not exist, or org-of-the-tenant has no access."
    ),
    "beta_api_shape_disabled": _refusal(
        4000, "beta_api_shape_disabled", "The Realtime Beta API is no longer supported."
    ),
    **{
        code: _refusal(1013, code, _NO_CREDIT, "insufficient_quota")
        for code in (
            *("insufficient_quota", "credit_balance_exhausted"),
            "organization_spend_limit_exceeded",
        )
    },
    "session_expired": End(
        1001,
        "Your session hit the maximum duration of 60 minutes.",
        "session_expired",
        message="Your session hit the maximum duration of 60 minutes.",
    ),
    "server_error": End(1011, "", "server_error", "server_error", "org-of-the-tenant: sorry."),
    "going away": End(1001, ""),
    "normal": End(1000, ""),
    "restart": End(1012, ""),
}
"""By code; those of OpenAI, and three closes without an error."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A response. Tokens are counts, times are seconds.

    Its steps:

        step 0        response.created, and what opens the first item
        1 ... n       a piece each: its transcript and its audio, or its text; then the fragments
                      of the tools' arguments
        n + 1         what closes the items, and response.done

    `stop_at`, `cut_at` and `end_at` are such numbers; negative ones count from the end, so that -1
    is the last step. n is smaller when a limit cuts the response.
    """

    pieces: Pieces = ("One ", "two ", "three ", "four ", "five.")
    tools: tuple[Tool, ...] = ()
    audio_ms: int = 100
    """Of each piece, where the response speaks: 2 tokens."""
    tokens_per_piece: int = 1
    """Of its text or transcript."""
    reasoning_tokens: int = 0
    """Generated with the opening; they are among the text's."""

    input_tokens: int | None = None
    """None: what the conversation costs."""
    cached_tokens: int = 0
    output_tokens: int | None = None
    """None: what was generated."""
    usage: Literal["reported", "absent"] = "reported"
    details: bool = True
    """The usage has its details."""
    malformed: Any = None
    """Stands in the usage instead of each count: "12", 1.5, -1..."""

    status: Literal["completed", "failed", "incomplete"] = "completed"
    """`incomplete`: by the filter of contents. What a cut or a cancel says comes first."""
    delay: float = 0
    """Before the opening."""
    pause: float = 0
    """Between the steps."""
    stop_at: int | None = None
    """The step before which it waits for `release`."""
    cut_at: int | None = None
    """The step before which the connection is reset."""
    end_at: int | None = None
    """The step before which the session ends, by `end`."""
    end: End = ENDS["going away"]

    done_times: int = 1
    """How often response.done is sent."""
    ignore_limit: bool = False
    """A limit that was asked for does not cut."""
    ignore_cancel: bool = False
    """It goes on when it is cancelled, by the client or its speech."""


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """Of an item of audio."""

    text: str = "Hello there."
    usage: Literal["tokens", "duration", "absent"] = "tokens"
    input_tokens: int | None = None
    """None: 10 a second."""
    output_tokens: int = 3
    fails: bool = False
    """It is reported as failed, and not billed."""
    comes: bool = True
    """False: nothing is said of it, but it is billed."""
    delay: float = 0


@dataclass(frozen=True, kw_only=True)
class Service:
    """A session, from its handshake on."""

    turns: tuple[Turn, ...] = (Turn(),)
    transcripts: tuple[Transcript, ...] = (Transcript(),)

    status: int = 101
    """Any other: an answer to the handshake by HTTP, with OpenAI's error as its body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the answer to the handshake, besides the usual ones."""
    redirect: str = ""
    """Where a 302 points to."""
    reset: bool = False
    """Instead of an answer to the handshake."""
    delay: float = 0
    """Before the answer to the handshake."""
    created_delay: float = 0
    """Between it and session.created."""
    refusal: End | None = None
    """Instead of session.created."""
    opening: str | bytes | None = None
    """Sent instead of session.created."""
    silent: bool = False
    """Nothing is sent at all."""
    session: Mapping[str, Any] = field(default_factory=dict)
    """Members of the session that differ from the usual ones at first."""
