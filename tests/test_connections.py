"""More connections than a worker wants: who has said nothing for longest goes. And what those take
that do not read."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from server.connections import AT_ONCE, MOST_CONNECTIONS
from tests.descriptors import many_descriptors
from tests.hurried import Hurried
from tests.metrics.scrape import scrape
from tests.processes import Valkey, eventually
from tests.raw import connect

IDLE = b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n"
BODY_TO_COME = b"POST /abc/auth/anonymous HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n{"
CHARGE_TO_COME = BODY_TO_COME.replace(b"auth/anonymous", b"charges").replace(
    b"Host", b"X-API-Key: KEY\r\nHost"
)
DOCUMENT = b"GET /docs/openapi.json HTTP/1.1\r\nHost: test\r\n\r\n"
ROUTE = "GET /docs/openapi.json"
SLOW = b"GET /think HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture
def server(valkey: Valkey, tmp_path: Path) -> Iterator[Hurried]:
    """Of one worker."""
    with (
        many_descriptors(2 * MOST_CONNECTIONS),
        Hurried(tmp_path / "out", valkey.url, {}) as server,
    ):
        yield server


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


def leave_unread(server: Hurried, stack: ExitStack, count: int) -> None:
    """So many clients ask for more documents than the system takes from the server, and read none.
    It has come to a standstill then."""
    for _ in range(count):
        client = stack.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((urlsplit(server.url).hostname, urlsplit(server.url).port))
        client.sendall(DOCUMENT * 50)
    answered = [0.0]

    def stands_still(operator: httpx.Client) -> bool:
        answered.append(scrape(operator).value("vibe_requests_total", route=ROUTE))
        return len(set(answered[-5:])) == 1

    with httpx.Client(base_url=server.url) as operator:
        eventually(lambda: stands_still(operator))


def test_a_document_that_nobody_reads_is_in_memory_once(server: Hurried) -> None:
    size = len(httpx.get(f"{server.url}/docs/openapi.json").content)
    before = server.resident()
    with ExitStack() as stack:
        leave_unread(server, stack, 60)
        assert server.resident() - before < 60 * size


def test_of_those_that_do_not_read_the_first_goes(server: Hurried) -> None:
    assert httpx.post(f"{server.url}/most-unread/10").status_code == 200
    with ExitStack() as stack:
        before = open_descriptors(server)
        leave_unread(server, stack, 30)
        eventually(lambda: open_descriptors(server) <= before + 10)
        assert httpx.get(f"{server.url}/livez").status_code == 200
    assert "[ERROR]" not in server.text()
