"""A call costs nothing before an endpoint has it, whatever it may reason."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import httpx
import pytest

from tests.api import User
from tests.gateway.asking import PATHS, PROTOCOLS, body_of, user_at
from tests.processes import Server, Valkey, eventually

TIMES = 20


@pytest.fixture
def deaf() -> Iterator[str]:
    """The URL of a provider to which connections do not come about, nor fail."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"
        for one in waiting:
            one.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_client_that_leaves_before_the_provider_is_reached_pays_nothing(
    valkey: Valkey, tmp_path: Path, deaf: str, protocol: str
) -> None:
    settings = {"REDIS_URL": valkey.url, "ALLOW_PRIVATE_UPSTREAMS": "1"}
    with (
        Server(tmp_path / "out", wait=True, **settings) as server,
        httpx.Client(base_url=server.url, timeout=20) as client,
    ):
        users = [user_at(client, deaf, protocol, reasoning=True) for _ in range(TIMES)]
        asyncio.run(_ask_and_leave(users, protocol))
        eventually(lambda: not any(map(_held, users)))
        for user in users:
            assert user.balance()["tokensUsed"] == 0


def _held(user: User) -> int:
    return int(user.balance()["tokensHeld"])


async def _ask_and_leave(users: list[User], protocol: str) -> None:
    async with aiohttp.ClientSession() as session:

        async def ask(user: User) -> None:
            url = f"{user.api.client.base_url}/{user.api.tenant_id}{PATHS[protocol]}"
            body = body_of(protocol, "Hi", stream=True)
            async with session.post(url, json=body, headers=user.headers):
                pass

        calls = [asyncio.create_task(ask(user)) for user in users]
        await asyncio.to_thread(eventually, lambda: all(map(_held, users)))
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
