"""A call: what was asked, and how far it came. The double's thread writes it, any may read it."""

import math
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.doubles.ultravox.clock import iso
from tests.doubles.ultravox.course import Course

_UNIT_SECONDS = 6
_FREE = "FREE_ZERO_EFFECTIVE_DURATION"


@dataclass(frozen=True)
class Delivery:
    """One try to send a callback."""

    event: str
    attempt: int
    status: int
    """Of the answer; 0: there was none."""


@dataclass
class Call:
    key: str
    asked: dict[str, Any]
    course: Course
    created: float
    url: str
    """The double's."""
    call_id: str = field(default_factory=lambda: str(uuid4()))
    token: str = field(default_factory=lambda: uuid4().hex)
    joined: float | None = None
    ended: float | None = None
    end_reason: str | None = None
    billing: str = "PENDING"
    billed_seconds: float | None = None
    client_version: str | None = None
    deleted: bool = False
    deliveries: list[Delivery] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """What its client has sent by the socket."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    """What was sent to it by HTTP, whether it had been joined or not."""
    audio_bytes: int = 0

    @property
    def join_url(self) -> str:
        return f"{self.url.replace('http', 'ws', 1)}/join/{self.token}"

    def seconds_of(self, name: str, default: float) -> float:
        """A duration that was asked for."""
        return float(str(self.asked.get(name, f"{default}s")).removesuffix("s"))

    def bill(self) -> None:
        if self.joined is None or self.ended is None:
            self.billing, self.billed_seconds = _FREE, 0
            return
        self.billing = self.course.billing
        lasted = math.ceil((self.ended - self.joined) / _UNIT_SECONDS) * _UNIT_SECONDS
        given = self.course.billed_seconds
        self.billed_seconds = lasted if given is None else given

    def shown(self) -> dict[str, Any]:
        billed = self.billed_seconds
        side = self.course if billed is not None else Course()
        return {
            "callId": self.call_id,
            "clientVersion": self.client_version,
            "created": iso(self.created),
            "joined": iso(self.joined),
            "ended": iso(self.ended),
            "endReason": self.end_reason,
            "billedDuration": None if billed is None else f"{billed:g}s",
            "billingStatus": f"BILLING_STATUS_{self.billing}",
            "billedSideInputTokens": side.side_input_tokens,
            "billedSideOutputTokens": side.side_output_tokens,
            "model": "ultravox-v0.7",
            "joinTimeout": "30s",
            "maxDuration": "3600s",
            "medium": {"webRtc": {}},
            "metadata": {},
            **{name: value for name, value in self.asked.items() if name != "callbacks"},
            "joinUrl": self.join_url,
        }

    def tombstone(self) -> dict[str, Any]:
        names = ("callId", "created", "joined", "ended", "endReason")
        shown = self.shown()
        return {**{name: shown[name] for name in names}, "deletionTime": shown["ended"]}
