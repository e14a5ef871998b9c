"""Names whose DNS is silent, for this process."""

import socket
from collections.abc import Iterator

import pytest

from tests.silent_names import SilentNames


@pytest.fixture
def silent_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentNames]:
    names = SilentNames()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    yield names
    names.over.set()
