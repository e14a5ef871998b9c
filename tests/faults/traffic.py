"""Mixed traffic from a client that records each request and what came of it."""

import asyncio
import math
import random
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp

from tests.api import ADMIN
from tests.processes import until

_serial = count(1)


@dataclass
class Intent:
    """One thing that a client wanted, in one or more requests, each with an ID of its own.

    The ledger names the request that brought about a change, so an intent that was acknowledged
    must be there exactly once, one that was refused not at all, any other at most once.
    """

    op: str
    tokens: int
    request_ids: list[str] = field(default_factory=list)
    acknowledged_at: float | None = None
    refused: bool = False
    replies: list[str] = field(default_factory=list)
    """Status codes, or the kind of failure."""


class Client:
    """One user, who does one thing at a time."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, tenant_id: str, login: dict[str, Any]
    ) -> None:
        self.session, self.url, self.tenant_id = session, url, tenant_id
        self.user_id: str = login["userId"]
        self.headers = {"Authorization": f"Bearer {login['apiKey']}"}
        self.intents: list[Intent] = []
        self.random = random.Random(self.user_id)

    async def run(self, until: asyncio.Event) -> None:
        while not until.is_set():
            act = self.random.choices(
                (self.charge, self.charge_with_key, self.hold_and_settle, self.grant), (4, 2, 3, 1)
            )[0]
            await act()

    async def charge(self) -> None:
        intent = self.intent("charge", self.random.randint(1, 9))
        await self._send(intent, "/charges", {"tokens": intent.tokens})

    async def charge_with_key(self) -> None:
        """Repeated until there is an answer: it must not be charged twice."""
        intent = self.intent("charge", self.random.randint(1, 9))
        key = {"Idempotency-Key": f"key-{next(_serial)}"}
        for _ in range(20):
            if await self._send(intent, "/charges", {"tokens": intent.tokens}, key) is not None:
                return
            await asyncio.sleep(0.1)

    async def hold_and_settle(self) -> None:
        tokens = self.random.randint(5, 20)
        intent = self.intent("hold", tokens)
        made = await self._send(intent, "/holds", {"tokens": tokens, "ttl": 30})
        if not made or "holdId" not in made:
            return
        settling = self.intent("settle", self.random.randint(0, tokens))
        path = f"/holds/{made['holdId']}/settle"
        for _ in range(20):
            if await self._send(settling, path, {"tokens": settling.tokens}) is not None:
                return
            await asyncio.sleep(0.1)

    async def grant(self) -> None:
        intent = self.intent("grant", 50)
        await self._send(intent, f"/admin/users/{self.user_id}/grants", {"tokens": 50}, ADMIN)

    def intent(self, op: str, tokens: int) -> Intent:
        """A new one."""
        self.intents.append(Intent(op, tokens))
        return self.intents[-1]

    async def _send(
        self, intent: Intent, path: str, body: object, headers: dict[str, str] | None = None
    ) -> dict[str, Any] | None:
        """The reply, {} for a refusal, None when the outcome is unknown."""
        request_id = f"r{next(_serial)}"
        intent.request_ids.append(request_id)
        sent = {**self.headers, "X-Request-ID": request_id, **(headers or {})}
        try:
            async with self.session.post(
                f"{self.url}/{self.tenant_id}{path}", json=body, headers=sent
            ) as reply:
                intent.replies.append(str(reply.status))
                value: dict[str, Any] = await reply.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            intent.replies.append(type(error).__name__)
            await asyncio.sleep(0.05)
            return None
        if reply.status < 300:
            intent.acknowledged_at = time.monotonic()
            return value
        if reply.status < 500:
            intent.refused = True
            return {}
        await asyncio.sleep(0.05)
        return None


async def log_in(session: aiohttp.ClientSession, url: str, tenant_id: str) -> dict[str, Any]:
    """A new user of the group `paid`: only permanent users' ledgers are as long as is asked for."""
    async with session.post(f"{url}/{tenant_id}/auth/anonymous") as reply:
        assert reply.status == 200, await reply.text()
        login: dict[str, Any] = await reply.json()
    path = f"{url}/{tenant_id}/admin/users/{login['userId']}/grants"
    async with session.post(path, json={"group": "paid"}, headers=ADMIN) as reply:
        assert reply.status == 200, await reply.text()
    return login


class Traffic:
    """Many clients at once, in the background of a test's fault."""

    def __init__(self, url: str, tenant_id: str, users: int) -> None:
        self.url, self.tenant_id, self.users = url, tenant_id, users
        self.clients: list[Client] = []
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Traffic":
        # No retries of aiohttp's own: a request that it sent twice would be ours to explain.
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=15),
            connector=aiohttp.TCPConnector(limit=0),
            middlewares=(),
        )
        self._session._retry_connection = False
        for _ in range(self.users):
            login = await log_in(self._session, self.url, self.tenant_id)
            self.clients.append(Client(self._session, self.url, self.tenant_id, login))
        self._tasks = [asyncio.create_task(client.run(self._stop)) for client in self.clients]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        await asyncio.gather(*self._tasks)
        await self._session.close()

    def stop(self) -> None:
        """No client begins anything more."""
        self._stop.set()

    def acknowledged(self) -> int:
        return sum(
            intent.acknowledged_at is not None
            for client in self.clients
            for intent in client.intents
        )

    def first_acknowledged_at(self) -> float:
        """Of all; infinity while there is none."""
        times = (i.acknowledged_at for client in self.clients for i in client.intents)
        return min((at for at in times if at is not None), default=math.inf)

    async def until_older_than(self, seconds: float) -> None:
        """Waits until the first acknowledgement is so long ago."""
        await until(lambda: time.monotonic() - self.first_acknowledged_at() > seconds)

    async def until_served(self, more: int = 50, seconds: float = 15) -> float:
        """Waits for `more` acknowledgements from now; how many seconds it took."""
        start, goal = time.monotonic(), self.acknowledged() + more
        while self.acknowledged() < goal:
            assert time.monotonic() < start + seconds, "the service did not come back"
            await asyncio.sleep(0.01)
        return time.monotonic() - start

    def replies(self) -> dict[str, int]:
        """How often each status or failure was seen."""
        found: dict[str, int] = {}
        for client in self.clients:
            for intent in client.intents:
                for reply in intent.replies:
                    found[reply] = found.get(reply, 0) + 1
        return found
