"""A double as the provider, and what runs the apps."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.clients import Client
from tests.doubles import Double
from tests.node import Node
from tests.own_python import environment
from tests.processes import ran

_HERE = Path(__file__).parent
_SECONDS = 240


class Apps:
    """Runs a client's app."""

    def __init__(self, home: Path) -> None:
        node = Node(_HERE, least=(22, 0))
        frameworks = environment(_HERE / "frameworks.txt") / "python"
        self._folder = node.folder / "apps"
        commands = node.folder / "node_modules" / ".bin"
        self._programs = {"ours": sys.executable, "frameworks": str(frameworks), "node": "node"}
        self._env = {"HOME": str(home), "PATH": f"{commands}:{node.env['PATH']}"}

    def run(self, client: Client, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        command = [self._programs[client.runs], client.name, json.dumps(calls)]
        nothing = subprocess.DEVNULL
        done = ran(command, _SECONDS, cwd=self._folder, env=self._env, stdin=nothing)
        print(done.stderr)
        found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
        return found


@pytest.fixture(scope="session")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Apps:
    return Apps(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def double() -> Iterator[Double]:
    with Double() as double:
        yield double
