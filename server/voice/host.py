"""Host: the session, for its parts."""

from typing import Protocol

from server.voice.opening import Cause, Event


class Host(Protocol):
    def ask(self, event: Event) -> None:
        """Sends it to the provider."""

    def tell(self, event: Event) -> None:
        """Sends it to the client."""

    def end(self, cause: Cause, is_told: bool = False) -> None:
        """`is_told`: the client has had its `error`."""

    def missed(self) -> None:
        """Redis has not answered."""
