"""A client that sends what is refused, and reads nothing, is read no more: nothing piles up."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
from websockets.asyncio.client import connect

from tests.api import Api
from tests.doubles.realtime import RealtimeDouble, Service
from tests.endpoints import voice_config
from tests.processes import Server, Valkey

MESSAGES = 100_000
MOST_GROWTH = 1024 * 1024
"""Bytes; the refusals of all that was sent are more than twenty times as much."""
STILL_SECONDS = 0.5
"""In which nothing more can be sent."""


@pytest.fixture
def server(valkey: Valkey, tmp_path: Path) -> Iterator[Server]:
    settings = {"REDIS_URL": valkey.url, "ALLOW_PRIVATE_UPSTREAMS": "1", "WORKERS": "1"}
    with Server(tmp_path / "out", **settings, wait=True) as server:
        yield server


async def test_refusals_wait_with_their_client(server: Server, double: RealtimeDouble) -> None:
    key = double.script("unread", Service())
    refused = orjson.dumps({"type": "response.begin", "padding": "x" * 500}).decode()
    with httpx.Client(base_url=server.url, timeout=20) as client:
        api = Api.new_tenant(client, voice_config(double.url, model=key))
        user = api.login()
    url = f"{server.url.replace('http', 'ws', 1)}/{api.tenant_id}/v1/realtime"
    with socket.socket() as line:
        # The system keeps little for it; the library reads no more than 16 messages ahead.
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        address = urlsplit(server.url)
        line.connect((address.hostname, address.port))
        async with connect(
            url, sock=line, additional_headers=user.headers, compression=None, ping_interval=None
        ) as connection:
            await connection.recv()
            resident, sent = server.resident(), 0

            async def send() -> None:
                nonlocal sent
                for _ in range(MESSAGES):
                    await connection.send(refused)
                    sent += 1

            sending = asyncio.create_task(send())
            before = -1
            while sent > before:
                before = sent
                await asyncio.sleep(STILL_SECONDS)
            assert sent < MESSAGES
            assert server.resident() - resident < MOST_GROWTH
            for _ in range(MESSAGES):
                assert orjson.loads(await connection.recv())["error"]["param"] == "type"
            await sending
