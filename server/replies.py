"""Replies whose heads cost little, and whose bodies have types that the documentation reads."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from sanic import HTTPResponse
from sanic.http import Http

from server.http import StrictHttp


class Reply(HTTPResponse):
    """A reply whose header values are ours or already checked, so that they need no escaping.

    Sanic escapes line breaks in each name and value, 3 to 4 us a header.
    """

    async def begin_unchunked(self) -> None:
        """Sends the head of a stream to a client of HTTP/1.0, which Sanic would send chunks."""
        stream = self.stream
        assert isinstance(stream, StrictHttp)
        stream.keep_alive = False
        await self.send(b"")
        stream.response_func = stream.send_unchunked

    @property
    def processed_headers(self) -> Iterator[tuple[bytes, bytes]]:
        if self.status not in (204, 304):
            self.headers.setdefault("content-type", self.content_type)
        if isinstance(self.stream, Http) and self.stream.request.version == "1.0":
            self.headers.pop("transfer-encoding", None)
        self.headers.pop("alt-svc", None)  # Sanic's, and empty
        lines = "\r\n".join([f"{name}: {value}" for name, value in self.headers.items()])
        # One header to Sanic, which adds what is between a name and its value: to encode each
        # name and value by itself takes twice as long.
        name, _, rest = lines.encode(errors="surrogateescape").partition(b": ")
        return iter([(name, rest)])


Body_co = TypeVar("Body_co", covariant=True)


class JsonReply(Reply, Generic[Body_co]):
    """A reply whose body is JSON of this type. The API's documentation reads it in signatures."""
