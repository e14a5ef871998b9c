"""README's commands, run as they stand: only ports, paths and the terminals are the test's."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.processes import ROOT, Process, eventually, free_port

README = (ROOT / "README.md").read_text()
SECONDS = 60
SERVE = ".venv/bin/python -m server --embedded"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def blocks(section: str, language: str) -> list[str]:
    """The code blocks of a section, in order."""
    text = README.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


class Reader:
    """Somebody who types what README says, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.double_port = free_port()

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def ours(self, text: str) -> str:
        """The same with our ports and paths."""
        return (
            text.replace("make run", f"{SERVE} --data {self.folder / 'data'}")
            .replace(".venv/bin/python", sys.executable)
            .replace("3000", str(self.port))
            .replace("4000", str(self.double_port))
        )

    def open_terminal(self, command: str, name: str) -> Process:
        env = {**os.environ, "PORT": str(self.port), "WORKERS": "1"}
        # In its place, so that what is stopped is the command and not its shell.
        script = self.ours(command).replace(sys.executable, f"exec {sys.executable}")
        return Process(["bash", "-ec", script], env, self.folder / name)

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def type(self, script: str) -> str:
        return self.run("bash", "-ec", self.ours(script))


def is_up(url: str) -> bool:
    try:
        return httpx.get(url).status_code < 500
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """With server and double running."""
    reader = Reader(tmp_path_factory.mktemp("readme"))
    serve, double, _ = blocks("Chat with a provider", "sh")
    with reader.open_terminal(serve, "server") as server, reader.open_terminal(double, "double"):
        eventually(lambda: is_up(f"{reader.url}/readyz"), SECONDS)
        eventually(lambda: is_up(f"http://localhost:{reader.double_port}/v1/models"), SECONDS)
        yield reader
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0, server.text()


def test_make_run_is_what_is_run_here() -> None:
    assert f"\n\t@exec {SERVE}\n" in (ROOT / "Makefile").read_text()


def test_from_login_to_402(reader: Reader) -> None:
    [script] = blocks("From login to 402", "sh")
    printed = reader.type(script)
    promised = re.findall(r"# (\{.*\})$", script, re.MULTILINE)
    assert len(promised) == 2
    assert printed.startswith("\n".join(promised)), printed
    assert '"entries"' in printed


def test_chat_until_402(reader: Reader) -> None:
    *_, configure = blocks("Chat with a provider", "sh")
    assert reader.type(configure) == '{"success":true}\n'
    [program] = blocks("Chat with a provider", "python")
    (reader.folder / "chat.py").write_text(reader.ours(program))
    *answers, end = reader.run(sys.executable, "chat.py").splitlines()
    assert end == "402 insufficient_quota"
    assert len([answer for answer in answers if answer.endswith("and the next answer is 402.")]) > 1
    assert answers[-1].strip().startswith("This is a double")


def test_the_audit_beside_make_run(reader: Reader) -> None:
    [command] = re.findall(r"`(\.venv/bin/python -m server --embedded audit)`", README)
    ours = command.replace("--embedded", f"--embedded --data {reader.folder / 'data'}")
    done = reader.run("bash", "-ec", f"cd {ROOT} && {reader.ours(ours)}")
    assert re.fullmatch(r"audit: \d+ users checked, 0 broken\n", done)
