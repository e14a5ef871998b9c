"""Host: the session, for its parts."""

from typing import Protocol

from server.errors import Refusal
from server.metering.results import SettleResult
from server.voice.opening import Cause, Event


class Host(Protocol):
    def ask(self, event: Event) -> None:
        """Sends it to the provider."""

    def tell(self, event: Event) -> None:
        """Sends it to the client."""

    def end(self, cause: Cause, is_told: bool = False) -> None:
        """`is_told`: the client has had its `error`."""

    def heed(self, refusal: Refusal, is_told: bool = False) -> None:
        """Something was not held: what becomes of the session by that. `is_told` as in `end`."""

    def charged(self, settled: SettleResult) -> None:
        """A part of it was settled: the client is told what is left."""
