"""aimock as it is, and with each kind of chaos; a server in front."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.node import Node
from tests.processes import START_SECONDS, Process, Server, Valkey, eventually


class Aimock(Process):
    """On a free port, with our fixtures and these arguments."""

    def __init__(self, node: Node, output: Path, *arguments: str) -> None:
        program = node.folder / "node_modules/@copilotkit/aimock/dist/cli.js"
        fixtures = ["--fixtures", str(node.folder / "fixtures.json"), "--strict"]
        command = ["node", str(program), "--port", "0", *fixtures, *arguments]
        super().__init__(command, node.env, output)
        eventually(lambda: self.popen.poll() is not None or self.url, START_SECONDS)
        assert self.popen.poll() is None, self.text()

    @property
    def url(self) -> str:
        found = re.search(r"listening on (http://\S+)", self.text())
        return found[1] if found else ""


@pytest.fixture(scope="session")
def node() -> Node:
    return Node(Path(__file__).parent)


@pytest.fixture(scope="session")
def start(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Aimock]]:
    """Starts an aimock with arguments of its command line; all end with the tests."""
    with ExitStack() as running:

        def started(*arguments: str) -> Aimock:
            output = tmp_path_factory.mktemp("aimock") / "out"
            return running.enter_context(Aimock(node, output, *arguments))

        yield started


@pytest.fixture(scope="session")
def aimock(start: Callable[..., Aimock]) -> Aimock:
    return start()


@pytest.fixture(scope="session")
def gateway(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("gateway") / "out"
    with Server(output, REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1") as server:
        yield server
