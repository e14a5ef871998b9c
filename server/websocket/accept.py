"""Accept: a client's wish for a WebSocket, and our answer to it."""

from collections.abc import Iterable, Mapping

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader
from websockets.headers import parse_subprotocol
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

MOST_BYTES = 4 * 1024 * 1024
"""Of a message of a client."""

MOST_LISTED = 100
"""In all headers that are lists: each takes some us, and anybody may ask, before it is known who
that is."""
_LISTS = ("Connection", "Upgrade", "Sec-WebSocket-Protocol")


class Handshake:
    """Of a request with this `method`, HTTP `version` and `headers`: `status` is 101 if it can be
    accepted, else that of its refusal; `offered` are the subprotocols, of which `wanted` is
    selected if it is there. No extensions: those that compress do nothing for audio in base64."""

    def __init__(
        self, method: str, version: str, headers: Iterable[tuple[str, str]], wanted: str
    ) -> None:
        given = Headers()
        for name, value in headers:
            given[name] = value
        if _listed(given) > MOST_LISTED:
            self.status, self.offered = 400, []
            return
        self.offered = _offered(given)
        selected = Subprotocol(wanted)
        accepting = ServerProtocol(
            select_subprotocol=lambda _, offered: selected if selected in offered else None
        )
        self._response = accepting.accept(Request("/", given, method, f"HTTP/{version}"))
        self.status = self._response.status_code

    def accept(self, headers: Mapping[str, str]) -> tuple[ServerProtocol, bytes]:
        """The frames, and what is to be sent before them; with these `headers`, too."""
        for name, value in headers.items():
            self._response.headers[name] = value
        # A new one: that which has accepted would read another request.
        return ServerProtocol(state=State.OPEN, max_size=MOST_BYTES), self._response.serialize()


def _listed(given: Headers) -> int:
    return sum(value.count(",") + 1 for name in _LISTS for value in given.get_all(name))


def _offered(headers: Headers) -> list[str]:
    """Those that can be read."""
    try:
        listed = map(parse_subprotocol, headers.get_all("Sec-WebSocket-Protocol"))
        return [name for names in listed for name in names]
    except InvalidHeader:
        return []
