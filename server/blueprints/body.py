"""A request's body: read as it comes, within the room that there is for it, and parsed.

No more of it is read than a refusal needs, and nothing is parsed before its structure is known to
be within bounds: a text of 10 MiB can be 40 times as large as objects, and take seconds.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

import orjson

from server.aside import aside
from server.errors import InvalidJson, TooComplex
from server.gateway.room import SMALL_REQUEST_BYTES, Portion, Room, memory_of
from server.http import StrictHttp
from server.structure import structure_of
from server.who import Who

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

KIB = 1024
MIB = 1024 * KIB
LARGE_BYTES = 256 * KIB
"""What is larger is asked about before it is read."""
ASIDE_BYTES = 32 * KIB
"""What is larger is handled aside, one after the other: at the bound of its structure it takes some
30 ms, which hundreds at a time would make seconds for everybody else."""

# No JSON is read here that is nested more deeply, which shows in the beginning of most that is.
_READABLE_DEPTH = 1_024
_BEGINNING = 16 * KIB


class Bounds(NamedTuple):
    """What a body may be; above that 413, or 400 for its structure."""

    size: int
    values: int
    depth: int


# A conversation of 1,000 messages with calls of tools has 20,000 values, and 100 tools 5,000.
OF_CALLS = Bounds(10 * MIB, 50_000, 128)
# Tokens of texts are a value each; as many as OpenAI takes in a request, in as many lists.
OF_EMBEDDINGS = Bounds(10 * MIB, 310_000, 2_100)
# A config of 64 KiB, which is the largest that there can be, has some 5,000.
OF_OTHERS = Bounds(1 * MIB, 10_000, _READABLE_DEPTH)

# While it arrives: it will be there twice, as text and parsed, or parsed and written.
_ARRIVING = 2
SMALL_BYTES = SMALL_REQUEST_BYTES // _ARRIVING
"""No body of so many has anything to take of the room, nor too many values."""


async def read(
    stream: StrictHttp,
    bounds: Bounds,
    portion: Portion,
    ask: Callable[[], Awaitable[None]] | None = None,
) -> bytearray:
    """All of the body, for which `portion` grows as it comes.

    `ask`, which may refuse it, is called before more than LARGE_BYTES are read. Raises Overloaded.
    """
    text = bytearray()
    stream.request_max_size = bounds.size
    announced = stream.announced_bytes
    if announced > bounds.size:
        ask, announced = None, 0  # it is refused at once
    if 0 < announced <= SMALL_BYTES:  # as nearly all
        return await _read_uncounted(stream)
    portion.could_be(_ARRIVING * announced)
    while stream.request_body:
        if ask is not None and (announced > LARGE_BYTES or len(text) > LARGE_BYTES):
            await ask()
            ask = None
        if piece := await stream.read():
            text += piece
            portion.grow_to(_ARRIVING * len(text))
    _read_on(stream)
    return text


async def _read_uncounted(stream: StrictHttp) -> bytearray:
    if (text := stream.take_body()) is None:
        text = bytearray()
    while stream.request_body:
        text += await stream.read() or b""
    _read_on(stream)
    return text


def _read_on(stream: StrictHttp) -> None:
    """Sanic stops reading when much is waiting, and would not notice that the client goes. Unless
    much still is, of requests that were sent ahead: those could fill the memory."""
    transport = stream.protocol.transport
    is_little = len(stream.recv_buffer) <= stream.protocol.app.config.REQUEST_BUFFER_SIZE
    if is_little and transport is not None and not transport.is_reading():
        transport.resume_reading()


def weigh(text: bytearray, bounds: Bounds) -> int:
    """What it takes of memory, in bytes, at most. Raises TooComplex, InvalidJson."""
    structure = structure_of(text, bounds.values, bounds.depth)
    if structure is not None:
        return memory_of(text, structure.values)
    if structure_of(text[:_BEGINNING], _BEGINNING + 1, _READABLE_DEPTH) is None:
        raise InvalidJson
    raise TooComplex


def parse(text: bytearray) -> dict[str, Any]:
    """The object that it is; `{}` if it is empty. The text is emptied. Raises InvalidJson."""
    if not text:
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidJson from None
    if not isinstance(value, dict):
        raise InvalidJson
    text.clear()  # whoever still has it: it may be large, and the call long
    return value


async def handle(
    text: bytearray,
    bounds: Bounds,
    portion: Portion,
    work: Callable[[bytearray, *_Ts], _T],
    *given: *_Ts,
) -> _T:
    """What `work` makes of a body and what is `given`, once it is known to be within `bounds`, and
    there is room for it; aside if it is large. Raises Overloaded, TooComplex, InvalidJson, and as
    `work`."""
    if len(text) <= ASIDE_BYTES:
        portion.grow_to(weigh(text, bounds))
        return work(text, *given)
    portion.grow_to(await aside(portion.owners, weigh, text, bounds))
    return await aside(portion.owners, work, text, *given)


async def read_object(
    stream: StrictHttp,
    bounds: Bounds,
    portion: Portion,
    ask: Callable[[], Awaitable[None]],
) -> dict[str, Any]:
    """The object that a body is; `ask` as `read` has it. Raises Overloaded, TooComplex,
    InvalidJson."""
    text = await read(stream, bounds, portion, ask)
    return await handle(text, bounds, portion, parse)


async def read_small(
    stream: StrictHttp, room: Room, who: Who, most: int = OF_OTHERS.size
) -> dict[str, Any]:
    """The object that a body within OF_OTHERS is, of at most `most` bytes. Raises Overloaded,
    TooComplex, InvalidJson."""
    if 0 < stream.announced_bytes <= SMALL_BYTES:
        return parse(await _read_uncounted(stream))
    with room.portion(who.tenant_id, who.user_id) as portion:
        text = await read(stream, OF_OTHERS._replace(size=most), portion)
        if len(text) > ASIDE_BYTES:
            portion.grow_to(await aside(portion.owners, weigh, text, OF_OTHERS))
        elif len(text) > OF_OTHERS.values:  # else it has no more of them
            portion.grow_to(weigh(text, OF_OTHERS))
        return parse(text)


async def read_form(stream: StrictHttp, room: Room, who: Who) -> bytearray:
    """A form, which is small. Raises Overloaded."""
    with room.portion(who.tenant_id, who.user_id) as portion:
        return await read(stream, OF_OTHERS._replace(size=SMALL_BYTES), portion)
