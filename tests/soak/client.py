"""A user who does all that users do, also what goes wrong."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import aiohttp

from tests.api import ADMIN
from tests.soak.answers import LONG, PATHS, QUICK, SLOW, WRONG

Act = Callable[[], Awaitable[None]]

GRANT, LARGE_GRANT = 500, 10_000
AS_MONEY_ALLOWS = (200, 402, 429)
"""429 where holds that were forgotten have what a chat needs."""
UNKNOWN_KEY = {"Authorization": "Bearer temp_nobody"}
WITHOUT_KEY: dict[str, str] = {}


class Client:
    """Does one thing at a time, until it is cancelled; `seen` counts what it did, and the statuses.

    `unexpected` gets a line for each reply that it should not have got.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base: str,
        seed: int,
        seen: Counter[str],
        unexpected: list[str],
    ) -> None:
        self._session = session
        self._base = base
        self._random = Random(seed)
        self._seen = seen
        self._unexpected = unexpected
        self._headers: dict[str, str] = {}
        self._user_id = ""
        acts: dict[Act, int] = {
            self._charge: 30,
            self._settle_a_hold: 12,
            self._chat: 12,
            self._stream: 12,
            self._read_balance: 10,
            self._leave_a_stream: 5,
            self._send_nonsense: 5,
            self._meet_a_fault: 5,
            self._spend_all: 4,
            self._read_ledger: 3,
            self._leave_a_chat: 2,
            self._forget_a_hold: 2,
            self._write_much: 1,
        }
        self._acts, self._weights = list(acts), list(acts.values())

    async def run(self, pause: float, logins_every: int) -> None:
        """With `pause` seconds between two acts on average; a new user now and then."""
        while True:
            await self._log_in()
            for _ in range(self._random.randint(1, 2 * logins_every)):
                [act] = self._random.choices(self._acts, self._weights)
                await act()
                await asyncio.sleep(self._random.uniform(0, 2 * pause))

    async def _log_in(self) -> None:
        login = await self._send("login", "POST", "/auth/anonymous", (200,))
        self._user_id = login["userId"]
        self._headers = {"Authorization": f"Bearer {login['apiKey']}"}

    async def _charge(self) -> None:
        tokens = self._random.randint(1, 20)
        await self._send("charge", "POST", "/charges", (200, 402), {"tokens": tokens})

    async def _settle_a_hold(self) -> None:
        held = await self._send("hold", "POST", "/holds", (201, 402, 429), {"tokens": 20})
        if "holdId" in held:
            path = f"/holds/{held['holdId']}/settle"
            body = {"tokens": self._random.randint(0, 30)}
            await self._send("settle", "POST", path, (200,), body)

    async def _forget_a_hold(self) -> None:
        body = {"tokens": 10, "ttl": 20}
        await self._send("hold, forgotten", "POST", "/holds", (201, 402, 429), body)

    async def _read_balance(self) -> None:
        await self._send("balance", "GET", "/balance", (200,))

    async def _read_ledger(self) -> None:
        await self._send("ledger", "GET", "/ledger?limit=20", (200,))

    async def _spend_all(self) -> None:
        """402 for a chat, unless a hold gives some back, and then there is money again."""
        balance = await self._send("balance", "GET", "/balance", (200,))
        if balance.get("tokensLeft"):
            body = {"tokens": balance["tokensLeft"]}
            await self._send("charge", "POST", "/charges", (200, 402), body)
            path, chat = self._ask(QUICK)
            await self._send("chat, no tokens left", "POST", path, AS_MONEY_ALLOWS, chat)
        await self._be_granted(GRANT)

    async def _chat(self) -> None:
        path, body = self._ask(QUICK)
        await self._send("chat", "POST", path, AS_MONEY_ALLOWS, body)

    async def _stream(self) -> None:
        path, body = self._ask(LONG, stream=True)
        await self._send("chat, streamed", "POST", path, AS_MONEY_ALLOWS, body)

    async def _write_much(self) -> None:
        await self._be_granted(LARGE_GRANT)
        path, body = self._ask(QUICK, "All work and no play. " * 1_000)
        await self._send("chat, 22 kB", "POST", path, (200,), body)

    async def _be_granted(self, tokens: int) -> None:
        path = f"/admin/users/{self._user_id}/grants"
        await self._send("grant", "POST", path, (200,), {"tokens": tokens}, ADMIN)

    async def _leave_a_stream(self) -> None:
        path, body = self._ask(LONG, stream=True)
        async with self._post(path, body) as reply:
            await reply.content.readany()
            await asyncio.sleep(self._random.uniform(0, 0.2))
            reply.close()
        self._count("chat, streamed, left", reply.status, AS_MONEY_ALLOWS)

    async def _leave_a_chat(self) -> None:
        path, body = self._ask(SLOW)
        try:
            async with asyncio.timeout(self._random.uniform(0.01, 0.2)), self._post(path, body):
                pass
        except TimeoutError:
            self._seen["chat, left"] += 1

    async def _meet_a_fault(self) -> None:
        """Of the provider; a stream may have begun with 200 before it."""
        stream = self._random.random() < 0.5
        path, body = self._ask(self._random.choice(WRONG), stream=stream)
        allowed = (200, 400, 402, 429, 502)
        await self._send("chat, provider fails", "POST", path, allowed, body)

    async def _send_nonsense(self) -> None:
        charge = {"tokens": -1}
        path, body = self._ask(QUICK)
        name, path, status, value, headers = self._random.choice(
            (
                ("charge of -1", "/charges", 422, charge, self._headers),
                ("charge, unknown key", "/charges", 401, None, UNKNOWN_KEY),
                ("chat, no key", path, 401, body, WITHOUT_KEY),
                ("chat, no messages", path, 400, {"model": "m"}, self._headers),
                ("no such route", "/nowhere", 404, None, self._headers),
                ("settle, no such hold", "/holds/abc/settle", 404, {"tokens": 1}, self._headers),
            )
        )
        await self._send(name, "POST", path, (status,), value, headers)

    def _ask(self, key: str, text: str = "Hello", stream: bool = False) -> tuple[str, Any]:
        """The path and body of a chat that gets the double's answer of that key, in either SDK's
        protocol, at an endpoint that speaks either."""
        protocol, endpoint = self._random.choice(PATHS), self._random.choice(PATHS)
        body = {
            "model": f"{endpoint.name}/{endpoint.name}-model",
            "messages": [{"role": "user", "content": f"{text} #{key}"}],
            "max_tokens": 100,
            "stream": stream,
        }
        return protocol.path, body

    async def _send(
        self,
        name: str,
        method: str,
        path: str,
        allowed: tuple[int, ...],
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """The reply's JSON; {} if it has none or is refused."""
        sent = self._headers if headers is None else headers
        try:
            async with self._session.request(
                method, self._base + path, json=body, headers=sent
            ) as reply:
                self._count(name, reply.status, allowed)
                if reply.content_type == "application/json" and reply.status < 300:
                    return dict(await reply.json())
                await reply.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._unexpected.append(f"{name}: {error!r}")
        return {}

    def _post(self, path: str, body: object) -> Any:
        return self._session.post(self._base + path, json=body, headers=self._headers)

    def _count(self, name: str, status: int, allowed: tuple[int, ...]) -> None:
        self._seen[f"{name}: {status}"] += 1
        if status not in allowed:
            self._unexpected.append(f"{name}: {status}")
