"""Environments of Python under `build/`, for programs whose packages do not fit beside ours."""

import sys
from pathlib import Path

from tests.alone import BUILD, alone
from tests.processes import ran


def environment(lock: Path) -> Path:
    """The `bin` of an environment with the packages of a lock, made once for each such file."""
    folder = BUILD / lock.stem
    done = folder / "installed.txt"
    with alone(lock.stem):
        if not done.exists() or done.read_bytes() != lock.read_bytes():
            ran([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)])
            pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
            options = ["-q", "--disable-pip-version-check", "--no-deps"]
            ran([*pip, "install", *options, "-r", str(lock)])
            done.write_bytes(lock.read_bytes())
    return folder / "bin"
