"""Voice: handshakes, sessions that are held open, and floods of frames from either side."""

import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import cycle, repeat

from server.websocket.framing import frame_of
from tests.abuse.attackers import MEBIBYTE, NOTHING, Attack, Victim, at_once
from tests.abuse.held_memory import AGAIN_SECONDS
from tests.endpoints import voice_config
from tests.raw import connect
from tests.voice.handshaking import Accepting, Handshaking
from tests.voice.raw_provider import CREATED, UPDATED

OF_A_USER = 5
"""Sessions, in a worker."""
FEW, MANY = 4, 150
READ = 64 * 1024
BURST_BYTES = 128 * 1024
_HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)
PONG = b"\x8a\x00"
Talk = Callable[[socket.socket], object]


def _spoken(text: str) -> bytes:
    """A frame of a provider's."""
    return frame_of(text.encode(), is_clients=False)


def _said(text: bytes) -> bytes:
    """A frame of a client's."""
    return frame_of(text, is_clients=True)


def _provider(floods: bytes = b"", answer: bytes = b"") -> Handshaking:
    """Its sessions begin as they should, and then `floods` come for ever; `answer` comes before
    they do."""
    updated = _spoken(UPDATED)

    def then() -> Iterable[bytes]:
        yield updated
        if floods:
            yield from repeat(floods)

    return Accepting(answer + _spoken(CREATED), then)


def _sessions(
    make: Callable[[], Handshaking], count: int, talk: Talk, victim: Victim, users: int = 0
) -> None:
    """So many at a time, of so many users (0: as they need)."""
    with make() as provider:
        tenant_id = victim.put_tenant(voice_config(provider.url, tokens=10**12))
        names = users or -(-count // OF_A_USER)
        keys = cycle([victim.log_in(tenant_id) for _ in range(names)])

        def speak() -> None:
            path = f"GET /{tenant_id}/v1/realtime HTTP/1.1"
            lines = [path, "Host: x", f"X-API-Key: {next(keys)}", *_HANDSHAKE, "", ""]
            with connect(victim.url) as connection, suppress(OSError):
                connection.settimeout(60)
                connection.sendall("\r\n".join(lines).encode())
                status = int((connection.recv(READ) or b"HTTP/1.1 599")[9:12])
                victim.saw(NOTHING if status == 599 else status)
                if status == 101:
                    talk(connection)
                    return
            time.sleep(AGAIN_SECONDS)

        at_once(count, speak)


def _leaves(connection: socket.socket) -> None:
    pass


def _listens(connection: socket.socket) -> None:
    while connection.recv(READ):
        pass


def _hears_nothing(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    time.sleep(60)


def _sends(data: bytes, connection: socket.socket) -> None:
    """Once, and then listens."""
    connection.sendall(data)
    _listens(connection)


def _floods(frame: bytes, is_read: bool, connection: socket.socket) -> None:
    """For ever, as fast as it is taken."""
    burst = frame * max(BURST_BYTES // len(frame), 1)
    connection.settimeout(0.01 if is_read else 60)
    left = memoryview(burst)
    while True:
        with suppress(TimeoutError):
            left = left[connection.send(left) :] or memoryview(burst)
        with suppress(TimeoutError):
            if is_read and not connection.recv(READ):
                return


def _client(frame: bytes, count: int = FEW, is_read: bool = True) -> Callable[[Victim], None]:
    return partial(_sessions, _provider, count, partial(_floods, frame, is_read))


def _of_provider(frame: bytes, count: int, talk: Talk = _listens) -> Callable[[Victim], None]:
    floods = frame * (BURST_BYTES // len(frame))
    return partial(_sessions, partial(_provider, floods), count, talk)


_TINY_EVENT = b'{"type":"x"}'
_RICH_EVENT = b'{"type":"x","a":[' + b"[]," * 60_000 + b"[]]}"
_AUDIO = b'{"type":"input_audio_buffer.append","audio":"' + b"A" * 3 * MEBIBYTE + b'"}'
_DELTA = '{"type":"response.output_text.delta","response_id":"r","delta":"a"}'
_REFUSED = b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n"
_IN_TINY_CHUNKS = _REFUSED + b"1\r\nx\r\n" * 100_000
ATTACKS = [
    Attack("handshakes", partial(_sessions, _provider, FEW, _leaves, users=20)),
    Attack("sessions_held_open", partial(_sessions, _provider, MANY, _listens), True),
    Attack("pings", _client(b"\x89\x80abcd")),
    Attack("fragments_of_a_byte", _client(b"\x01\x81abcd\x00" + b"\x00\x81abcd\x00" * 1_000)),
    Attack("tiny_events_of_a_client", _client(_said(_TINY_EVENT))),
    Attack("events_whose_refusals_nobody_reads", _client(_said(_TINY_EVENT), 50, False), True),
    Attack("events_of_very_many_values", _client(_said(_RICH_EVENT))),
    Attack("large_events", _client(_said(_AUDIO), 12), True),
    Attack(
        "large_events_but_a_byte",
        partial(_sessions, _provider, MANY, partial(_sends, _said(_AUDIO)[:-1])),
        True,
    ),
    Attack("pongs_of_a_provider", _of_provider(PONG, FEW)),
    Attack("tiny_events_of_a_provider", _of_provider(_spoken(_DELTA), 8)),
    Attack("spoken_and_not_heard", _of_provider(_spoken(_DELTA), 50, _hears_nothing), True),
    Attack(
        "frames_with_the_answer",
        partial(_sessions, partial(_provider, answer=PONG * 30_000), FEW, _leaves, users=20),
    ),
    Attack(
        "answers_in_tiny_chunks",
        partial(_sessions, partial(Handshaking, _IN_TINY_CHUNKS), 16, _leaves, users=20),
    ),
]
