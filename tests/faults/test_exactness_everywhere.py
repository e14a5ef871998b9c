"""The exactness of charges, holds, keys and windows, unchanged on each arrangement of Redis."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from tests.api import Api
from tests.callers import Load
from tests.faults.checks import audit
from tests.faults.topologies import ClusterSet, OneServer, SentinelSet
from tests.metering import exactness
from tests.processes import Server


@pytest.mark.parametrize("arrangement", ["one", "sentinel", "cluster"])
async def test_exactness(
    arrangement: str, request: pytest.FixtureRequest, start_server: Callable[..., Server]
) -> None:
    made = request.getfixturevalue(arrangement)
    server = start_server(made.url, REDIS_TIMEOUT="5")
    with httpx.Client(base_url=server.url, timeout=10) as client:
        api = Api.new_tenant(client)
        async with Load(server.url) as load:
            await exactness.check_charges([load], api)
            await exactness.check_holds([load], api)
            await exactness.check_idempotency([load], api)
            await exactness.check_limits([load], api)
        audit(made.url, api.tenant_id)


async def test_windows(
    one: OneServer, sentinel: SentinelSet, cluster: ClusterSet, start_server: Callable[..., Server]
) -> None:
    """All at once, since 20 windows take their time."""
    servers = [start_server(made.url, REDIS_TIMEOUT="5") for made in (one, sentinel, cluster)]
    await asyncio.gather(*(_check_window(server) for server in servers))


async def _check_window(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=10) as client:
        api = Api.new_tenant(client)
        async with Load(server.url) as load:
            await exactness.check_window([load], api, windows=20)
