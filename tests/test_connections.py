"""More connections than a worker wants: who has said nothing for longest goes."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from server.connections import AT_ONCE, MOST_CONNECTIONS
from tests.hurried import Hurried
from tests.processes import Valkey, eventually
from tests.raw import connect

IDLE = b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n"
BODY_TO_COME = b"POST /abc/auth/anonymous HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n{"
CHARGE_TO_COME = BODY_TO_COME.replace(b"auth/anonymous", b"charges").replace(
    b"Host", b"X-API-Key: KEY\r\nHost"
)
SLOW = b"GET /think HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture
def server(valkey: Valkey, tmp_path: Path) -> Iterator[Hurried]:
    """Of one worker, which may open as much as this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * MOST_CONNECTIONS:
        pytest.skip("this machine gives too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Hurried(tmp_path / "out", valkey.url, {}) as server:
        yield server
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def is_closed(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def open_descriptors(server: Hurried) -> int:
    return len(list(Path(f"/proc/{server.worker_pids()[0]}/fd").iterdir()))


@pytest.mark.parametrize("beginning", [b"GET", BODY_TO_COME, CHARGE_TO_COME])
def test_the_one_that_has_waited_longest_goes(server: Hurried, beginning: bytes) -> None:
    api_key = httpx.post(f"{server.url}/abc/auth/anonymous").json()["apiKey"]
    beginning = beginning.replace(b"KEY", api_key.encode())
    with ExitStack() as stack:
        oldest, busy = (stack.enter_context(connect(server.url)) for _ in range(2))
        oldest.sendall(IDLE)
        assert oldest.recv(65536).startswith(b"HTTP/1.1 200")
        for _ in range(MOST_CONNECTIONS - 10):
            stack.enter_context(connect(server.url)).sendall(beginning)
        busy.sendall(SLOW)
        others = [stack.enter_context(connect(server.url)) for _ in range(20)]
        oldest.setblocking(False)
        eventually(lambda: is_closed(oldest))
        newest = others[-1]
        newest.sendall(IDLE)
        assert newest.recv(65536).startswith(b"HTTP/1.1 200")
        assert busy.recv(65536).startswith(b"HTTP/1.1 200")
        assert open_descriptors(server) < MOST_CONNECTIONS - AT_ONCE / 2
    assert "[ERROR]" not in server.text()
    assert "Traceback" not in server.text()
