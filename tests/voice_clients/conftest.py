"""A double as the provider, and what Node and Chromium run."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api import Api
from tests.doubles.realtime import RealtimeDouble
from tests.endpoints import voice_config
from tests.node import Node
from tests.processes import Server
from tests.voice_clients.callers import Caller


@pytest.fixture(scope="session")
def node() -> Node:
    return Node(Path(__file__).parent)


@pytest.fixture(scope="session")
def double() -> Iterator[RealtimeDouble]:
    with RealtimeDouble() as double:
        yield double


@pytest.fixture(scope="session")
def http(gateway: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=20) as client:
        yield client


@pytest.fixture(scope="session")
def new_caller(http: httpx.Client, double: RealtimeDouble) -> Callable[..., Caller]:
    def new(tokens: int = 100_000, **of_tenant: Any) -> Caller:
        model = f"m-{uuid4().hex[:12]}"
        value = voice_config(double.url, tokens, model=model, max_output=100) | of_tenant
        return Caller(Api.new_tenant(http, value).login(), model, double)

    return new


@pytest.fixture
def caller(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()
