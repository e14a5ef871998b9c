"""What a start leaves in Redis, create_app for other programs, and Sanic's own command."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from server.app import Deps, create_app
from server.protocol import StrictProtocol
from server.settings import Settings
from server.store.store import Store
from tests.api import ADMIN, config
from tests.processes import ROOT, Process, Server, Valkey, eventually, free_port

NOBODY = "redis://127.0.0.1:1"


def test_the_first_tenant(tmp_path: Path) -> None:
    first = json.loads((ROOT / "server" / "tenants" / "first_tenant.json").read_text())
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
    await asyncio.to_thread(create_app, Deps(settings, Store(NOBODY, 1)))  # outside of their loop
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
