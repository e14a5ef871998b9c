"""Many who talk at a time, each a user with a model of its own, which is a key of the double's."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.api import Api, User
from tests.doubles.realtime import RealtimeDouble, Response, Service

TOKENS = 100_000
LONGEST_SECONDS = 60
_ITEM = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "How are you today?"}],
}
SAID = orjson.dumps({"type": "conversation.item.create", "item": _ITEM}).decode()
ANSWER = orjson.dumps({"type": "response.create"}).decode()
PASSING = ("service_unavailable", "tokens_held")
"""Refusals after which a client asks again."""
AGAIN_SECONDS = 0.1


@dataclass
class Talker:
    user: User
    model: str
    leaves_at: int | None = None
    """The event at which it vanishes; None: it does not."""
    turns: int = 3
    heard: int = 0
    """Events."""
    code: int | None = None
    """With which it was closed."""
    done: int = 0
    """Turns."""

    async def talk(self) -> None:
        """Until it has had its turns, leaves or is closed."""
        base = str(self.user.api.client.base_url).rstrip("/").replace("http", "ws", 1)
        url = f"{base}/{self.user.api.tenant_id}/v1/realtime?model=voice/{self.model}"
        try:
            async with connect(
                url,
                additional_headers=self.user.headers,
                compression=None,
                proxy=None,
                ping_interval=None,
                close_timeout=2,
            ) as connection:
                await self._talk(connection)
        except ConnectionClosed as closed:
            self.code = closed.rcvd.code if closed.rcvd else 1006
        except (InvalidHandshake, OSError, EOFError, TimeoutError):
            self.code = 0

    async def _talk(self, connection: ClientConnection) -> None:
        async for text in connection:
            self.heard += 1
            if self.heard == self.leaves_at:
                connection.transport.abort()
                return
            event = orjson.loads(text)
            if event["type"] == "response.done":
                self.done += 1
                if self.done == self.turns:
                    return
            if event["type"] in ("session.created", "response.done"):
                await connection.send(SAID)
            if event["type"] == "error" and event["error"]["code"] in PASSING:
                await asyncio.sleep(AGAIN_SECONDS)
            if event["type"] in ("session.created", "response.done", "error"):
                await connection.send(ANSWER)
        self.code = connection.close_code


class Crowd:
    """So many talkers of one tenant; `service_of` says how the session of each goes."""

    def __init__(
        self,
        api: Api,
        double: RealtimeDouble,
        random: Random,
        count: int,
        service_of: Callable[[Random], Service],
        turns: int = 3,
    ) -> None:
        self.api = api
        self.double = double
        self.talkers = []
        for _ in range(count):
            key = double.script(f"m-{random.getrandbits(64):x}", service_of(random))
            self.talkers.append(Talker(api.login().become_permanent(), key, turns=turns))

    async def talk(self) -> None:
        async with asyncio.timeout(LONGEST_SECONDS):
            await asyncio.gather(*(talker.talk() for talker in self.talkers))

    def move(self, client: httpx.Client) -> None:
        """To a server that goes on."""
        self.api.client = client

    def responses(self, talker: Talker) -> list[Response]:
        return [each for one in self.double.sessions(talker.model) for each in one.responses]

    def are_speaking(self) -> bool:
        """At least half of them have been answered once."""
        begun = [bool(self.responses(talker)) for talker in self.talkers]
        return sum(begun) * 2 >= len(begun)
