"""A Redis to break, and a server on it."""

from collections.abc import Iterator

import pytest

from tests.processes import Server, Valkey


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Of each file's own: the audits of other tests must not find what it breaks."""
    with Valkey(tmp_path_factory.mktemp("broken")) as valkey:
        yield valkey


@pytest.fixture(scope="module")
def server(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker, so that requests share flushes."""
    output = tmp_path_factory.mktemp("one-worker") / "out"
    with Server(output, REDIS_URL=valkey.url, WORKERS="1") as server:
        yield server
