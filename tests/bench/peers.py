"""What the server is compared with, as processes: bare Sanic, and the same service in Koa."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT, START_SECONDS, Process, eventually, free_port

_KOA_SOURCE = Path(__file__).parent / "koa"
_KOA = ROOT / "build" / "koa"


class KoaMissing(Exception):
    """The message says why there is no Koa to compare with."""


class Peer(Process):
    """A server that takes its port as an argument."""

    def __init__(self, command: list[str], output: Path) -> None:
        self.port = free_port()
        words = [word.replace("PORT", str(self.port)) for word in command]
        super().__init__(words, {"NODE_ENV": "production"}, output)
        eventually(lambda: self.popen.poll() is not None or self._listens(), START_SECONDS)
        assert self.popen.poll() is None, self.text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def bare_sanic(folder: Path) -> Peer:
    return Peer([sys.executable, "-m", "tests.bench.bare", "PORT"], folder / "bare.out")


def upstream(folder: Path) -> Peer:
    """A provider to call."""
    return Peer([sys.executable, "-m", "tests.bench.upstream", "PORT"], folder / "upstream.out")


def passthrough(folder: Path, upstream_url: str) -> Peer:
    url = f"{upstream_url}/v1/chat/completions"
    command = [sys.executable, "-m", "tests.bench.passthrough", "PORT", url]
    return Peer(command, folder / "passthrough.out")


def koa(folder: Path, redis_url: str) -> Peer:
    """Installs what it needs, once. Raises KoaMissing."""
    return Peer(["node", str(_installed_koa() / "server.js"), "PORT", redis_url], folder / "koa")


def _installed_koa() -> Path:
    npm = shutil.which("npm")
    if not npm or not shutil.which("node"):
        raise KoaMissing("node and npm are not installed")
    installed, wanted = _KOA / "installed.json", _KOA_SOURCE / "package-lock.json"
    shutil.copytree(_KOA_SOURCE, _KOA, dirs_exist_ok=True)
    if not installed.exists() or installed.read_bytes() != wanted.read_bytes():
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(
            command, cwd=_KOA, env=os.environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise KoaMissing(f"npm ci failed:\n{done.stderr.strip()}")
        shutil.copy(wanted, installed)
    return _KOA
