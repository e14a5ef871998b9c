"""A long session: 200 turns leave nothing in the worker, and show nothing of the tenant's."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from websockets.asyncio.client import connect

from tests.api import Api
from tests.doubles.realtime import RealtimeDouble, Service, Turn
from tests.endpoints import voice_config
from tests.processes import Server, Valkey, eventually
from tests.voice_endings.talkers import ANSWER, SAID

TURNS = 200
WARM_TURNS = 50
TOKENS = 100_000_000
LEDGER_ENTRIES = 200
MOST_GROWTH = 4 * 1024 * 1024
"""Bytes; all that was sent and heard meanwhile is more than ten times as much."""


@pytest.fixture
def server(valkey: Valkey, tmp_path: Path) -> Iterator[Server]:
    settings = {"REDIS_URL": valkey.url, "ALLOW_PRIVATE_UPSTREAMS": "1", "WORKERS": "1"}
    with Server(tmp_path / "out", **settings, wait=True) as server:
        yield server


async def test_200_turns(server: Server, double: RealtimeDouble, valkey: Valkey) -> None:
    key = double.script("long", Service(turns=(Turn(pieces=["word "] * 60),)))
    with httpx.Client(base_url=server.url, timeout=20) as client:
        api = Api.new_tenant(client, voice_config(double.url, TOKENS, model=key))
        user = api.login()
        base = server.url.replace("http", "ws", 1)
        url = f"{base}/{api.tenant_id}/v1/realtime?model={key}"
        resident, lefts = 0, []
        async with connect(url, additional_headers=user.headers, compression=None) as connection:
            async for text in connection:
                assert "org-of-the-tenant" not in str(text)
                event = orjson.loads(text)
                if event["type"] == "rate_limits.updated":
                    lefts.append(event["rate_limits"][0]["remaining"])
                    if len(lefts) == WARM_TURNS:
                        resident = server.resident()
                    if len(lefts) == TURNS:
                        break
                if event["type"] in ("session.created", "rate_limits.updated"):
                    for message in (SAID, ANSWER):
                        await connection.send(message)
        assert server.resident() - resident < MOST_GROWTH
        used = [response.used for response in double.sessions(key)[0].responses]
        assert len(used) == TURNS
        assert lefts[-1] == TOKENS - sum(used)
        assert valkey.client.llen(f"{{user:{user.user_id}}}:ledger") <= LEDGER_ENTRIES
        eventually(lambda: user.balance()["tokensHeld"] == 0)
