"""How it starts, and how it refuses to: one line, an exit status, nothing that listens."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from server.app import Deps, create_app
from server.http import StrictProtocol
from server.settings import Settings
from server.store import Store
from tests.api import ADMIN, config
from tests.processes import ROOT, Process, Server, Valkey, eventually, free_port

NOBODY = "redis://127.0.0.1:1"

BAD_VALUES = {
    "PORT": "http",
    "HOST": "a" * 64 + ".test",
    "REDIS_URL": "http://localhost",
    "REDIS_TIMEOUT": "nan",
    "WORKERS": "0",
    "ADMIN_TOKEN": "two words",
    "LOG_LEVEL": "loud",
    "LOG_FORMAT": "xml",
    "DRAIN_SECONDS": "-1",
    "GRACE_SECONDS": "soon",
    "USER_TTL_DAYS": "0.5",
    "LEDGER_ENTRIES": "0",
    "ANONYMOUS_LOGINS_PER_MINUTE": "-1",
    "PROXIES_COUNT": "many",
    "FORWARDED_SECRET": "a\tb",
}

Fails = Callable[..., tuple[int, str]]


@pytest.fixture
def fails(tmp_path: Path) -> Fails:
    """Starts a server that cannot start; its exit status and the one line that it wrote."""

    def start(*arguments: str, **settings: str) -> tuple[int, str]:
        output = tmp_path / f"out-{os.urandom(4).hex()}"
        with Server(output, *arguments, wait=False, **settings) as server:
            status = server.wait(20)
            lines = server.text().splitlines()
            assert len(lines) == 1, server.text()
            return status, lines[0]

    return start


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A Redis that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def url_of(listener: socket.socket) -> str:
    return f"redis://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("workers", ["1", "4"])
def test_no_redis(fails: Fails, workers: str) -> None:
    status, line = fails(REDIS_URL=NOBODY, WORKERS=workers)
    assert status == 1
    assert line.startswith("[ERROR] Redis connection failed: Error 111 connecting to 127.0.0.1:1.")


def test_a_redis_that_never_answers(silent: socket.socket, tmp_path: Path) -> None:
    port = free_port()
    settings = {"REDIS_URL": url_of(silent), "PORT": str(port), "WORKERS": "4"}
    with Server(tmp_path / "out", wait=False, **settings) as server:
        while server.popen.poll() is None:
            with closing(socket.socket()) as client:
                assert client.connect_ex(("127.0.0.1", port)) != 0, "it listens"
        assert server.wait() == 1
        assert server.text() == "[ERROR] Redis connection failed: Timeout connecting to server\n"


@pytest.mark.parametrize("address", ["no-such-host.invalid", "a..b", "127.0.0.1:1/x?bad=1"])
def test_a_redis_that_cannot_be_found(fails: Fails, address: str) -> None:
    status, line = fails(REDIS_URL=f"redis://{address}")
    assert status in (1, 2)
    assert line.startswith(("[ERROR] Redis connection failed: ", "[ERROR] REDIS_URL: "))


def test_a_wrong_password(fails: Fails, tmp_path: Path) -> None:
    with Valkey(tmp_path / "valkey") as valkey:
        valkey.client.config_set("requirepass", "right")
        for credentials in ("", ":wrong@"):
            status, line = fails(REDIS_URL=f"redis://{credentials}127.0.0.1:{valkey.port}")
            assert status == 1
            assert line.startswith("[ERROR] Redis connection failed: ")
            assert "wrong" not in line


def test_a_password_is_not_shown_when_the_url_is_not_one(fails: Fails) -> None:
    status, line = fails(REDIS_URL="redis://:secret/word@localhost")
    assert (status, line) == (2, "[ERROR] REDIS_URL: Port could not be cast to integer value")


def test_a_redis_that_evicts(fails: Fails, tmp_path: Path) -> None:
    with Valkey(tmp_path / "valkey", maxmemory_policy="allkeys-lru") as valkey:
        status, line = fails(REDIS_URL=valkey.url)
    assert status == 1
    assert line.startswith("[ERROR] maxmemory-policy is allkeys-lru")


def test_every_setting_refuses_a_bad_value(fails: Fails, valkey: Valkey) -> None:
    assert {name.lower() for name in BAD_VALUES} == set(Settings.model_fields)

    def start(name: str) -> tuple[str, int, str]:
        given = {"REDIS_URL": valkey.url, name: BAD_VALUES[name]}
        return (name, *fails(**given))

    with ThreadPoolExecutor(4) as pool:
        for name, status, line in pool.map(start, BAD_VALUES):
            # Whether a host name can be listened on shows only when it is tried.
            expected = (1, "[ERROR] Cannot listen on ") if name == "HOST" else (2, "[ERROR] ")
            assert status == expected[0], line
            assert line.startswith(expected[1])
            assert name in line or BAD_VALUES[name] in line


def test_a_port_in_use(fails: Fails, valkey: Valkey, silent: socket.socket) -> None:
    port = silent.getsockname()[1]
    status, line = fails(REDIS_URL=valkey.url, PORT=str(port))
    assert status == 1
    assert line.startswith(f"[ERROR] Cannot listen on localhost:{port}: Address already in use")


@pytest.mark.parametrize(
    ("settings", "status"), [({"REDIS_URL": NOBODY}, 1), ({"PORT": "http"}, 2)]
)
def test_a_refusal_as_json(fails: Fails, settings: dict[str, str], status: int) -> None:
    found, line = fails(LOG_FORMAT="json", **settings)
    assert found == status
    assert json.loads(line)["level"] == "error"


def test_every_line_as_json(tmp_path: Path) -> None:
    embedded = ["--embedded", "--data", str(tmp_path / "data")]
    with Server(tmp_path / "out", *embedded, LOG_FORMAT="json", ADMIN_TOKEN="") as server:
        httpx.get(f"{server.url}/abc/balance")
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.text().splitlines()]
    assert all(set(line) == {"time", "level", "message"} for line in lines)
    messages = [line["message"] for line in lines]
    assert any(message.startswith("Admin token for this start: ") for message in messages)
    assert "Loaded tenant config for abc" in messages
    assert messages[-1] == "Server shutting down"


def test_the_log_says_that_administration_is_closed(tmp_path: Path, valkey: Valkey) -> None:
    with Server(tmp_path / "out", REDIS_URL=valkey.url, ADMIN_TOKEN="") as server:
        assert "[WARN] ADMIN_TOKEN is not set" in server.text()
        assert httpx.get(f"{server.url}/tenants", headers=ADMIN).status_code == 401


def test_the_first_tenant(tmp_path: Path) -> None:
    first = json.loads((ROOT / "server" / "first_tenant.json").read_text())
    with Valkey(tmp_path / "valkey") as valkey:
        with Server(tmp_path / "1", REDIS_URL=valkey.url, WORKERS="3") as server:
            # In Redis before anything is served, with plain SET's type and without an expiry.
            stored = valkey.client.get("tenant:abc:config")
            assert json.loads(str(stored)) == first
            assert valkey.client.ttl("tenant:abc:config") == -1
            answer = httpx.get(f"{server.url}/abc/admin/config", headers=ADMIN)
            assert answer.json() == {"config": first}
        valkey.client.set("tenant:abc:config", json.dumps(config()))
        with Server(tmp_path / "2", REDIS_URL=valkey.url) as server:
            answer = httpx.get(f"{server.url}/abc/admin/config", headers=ADMIN)
            assert answer.json() == {"config": config()}
            assert httpx.delete(f"{server.url}/tenants/abc", headers=ADMIN).status_code == 204
        with Server(tmp_path / "3", REDIS_URL=valkey.url) as server:
            answer = httpx.post(f"{server.url}/abc/auth/anonymous")
            assert answer.json() == {"error": "Invalid tenant ID"}
            assert valkey.client.get("tenant:abc:config") is None


IMPORT_ALL = """
import os, pkgutil, signal, socket, subprocess, threading
def refuse(*a, **k): raise AssertionError("an import started something")
subprocess.Popen.__init__ = os.fork = socket.socket.connect = socket.socket.bind = refuse
threading.Thread.start = refuse
handlers = [signal.getsignal(number) for number in signal.valid_signals()]
import server
names = [m.name for m in pkgutil.walk_packages(server.__path__, "server.")]
for name in names: __import__(name)
assert handlers == [signal.getsignal(number) for number in signal.valid_signals()]
targets = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
assert not [target for target in targets if "socket:" in target], targets
print(len(names))
"""


def test_importing_starts_nothing() -> None:
    found = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    modules = [path for path in (ROOT / "server").rglob("*.py") if path.name != "__init__.py"]
    assert int(found.stdout) >= len(modules)


async def test_two_apps_in_a_process(valkey: Valkey) -> None:
    servers, urls = [], []
    for token in ("one", "two"):
        environ = {"REDIS_URL": valkey.url, "ADMIN_TOKEN": token}
        settings = Settings.from_environment(environ)
        app = create_app(Deps(settings, Store(settings.redis_url, settings.redis_timeout)))
        listener = socket.create_server(("127.0.0.1", 0))
        urls.append(f"http://127.0.0.1:{listener.getsockname()[1]}")
        server = await app.create_server(sock=listener, protocol=StrictProtocol)
        assert server is not None
        await server.startup()
        await server.before_start()
        await server.after_start()
        servers.append(server)
    async with httpx.AsyncClient() as client:
        for url, token, other in (urls[0], "one", "two"), (urls[1], "two", "one"):
            for given, status in (token, 200), (other, 401):
                headers = {"Authorization": f"Bearer {given}"}
                answer = await client.get(f"{url}/tenants", headers=headers)
                assert answer.status_code == status
    for server in servers:
        await server.before_stop()
        server.close()
        await server.after_stop()


@pytest.mark.parametrize("mode", [["--workers", "2"], ["--single-process"]])
def test_sanics_own_command(tmp_path: Path, valkey: Valkey, mode: list[str]) -> None:
    port = free_port()
    command = [sys.executable, "-m", "sanic", "server.app:from_environment", "--factory"]
    command += ["--port", str(port), *mode]
    with Process(command, {"REDIS_URL": NOBODY}, tmp_path / "refused") as process:
        assert process.wait(20) == 1
        assert len(process.text().splitlines()) == 1
        assert process.text().startswith("[ERROR] Redis connection failed: ")
    with Process(command, {"REDIS_URL": valkey.url}, tmp_path / "out") as process:

        def is_up() -> bool:
            assert process.popen.poll() is None, process.text()
            try:
                return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
            except httpx.TransportError:
                return False

        eventually(is_up, 30)
        assert httpx.get(f"http://127.0.0.1:{port}/abc/balance").status_code == 401
        if "--workers" in mode:
            # Sanic's own manager hangs when it is told to stop before all workers are up.
            process.signal_group(signal.SIGKILL)
            return
        assert process.stop() == 0
        assert process.text().count("[INFO] Server shutting down\n") == 1
