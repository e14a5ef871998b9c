"""Replies whose size is known only when they are there."""

from server.blueprints.request import Request, send_in_pieces
from server.gateway.room import SMALL_REPLY_BYTES
from server.replies import Reply


async def reply_by_size(request: Request, body: bytes, headers: dict[str, str]) -> Reply | None:
    """That of status 200 with this JSON. A large one is sent in pieces, for which there must be
    room: then None."""
    if len(body) <= SMALL_REPLY_BYTES:
        return Reply(body, 200, headers, "application/json")
    await send_in_pieces(request, body, headers, "application/json")
    return None
