"""Environments of Python under `build/`, for programs whose packages do not fit beside ours."""

import subprocess
import sys
from pathlib import Path

from tests.alone import BUILD, alone

_SECONDS = 600


def environment(lock: Path) -> Path:
    """The `bin` of an environment with the packages of a lock, made once for each such file."""
    folder = BUILD / lock.stem
    done = folder / "installed.txt"
    with alone(lock.stem):
        if not done.exists() or done.read_bytes() != lock.read_bytes():
            _run(sys.executable, "-m", "venv", "--clear", str(folder))
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
            _run(*pip, "--disable-pip-version-check", "--no-deps", "-r", str(lock))
            done.write_bytes(lock.read_bytes())
    return folder / "bin"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
