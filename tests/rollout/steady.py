"""Steady load: charges and holds at a pace, and streams that last long; nothing is tried again."""

import asyncio
import json
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.faults.traffic import Client, Traffic, log_in

PAUSE_SECONDS = 0.05
STAGGER_SECONDS = 1
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
LAST_LINE = {"openai": b"data: [DONE]", "anthropic": b'data: {"type":"message_stop"}'}
NORMAL = {"200", "201", "402"}


def session() -> aiohttp.ClientSession:
    """Connections are used again, and nothing is tried again, as aiohttp would."""
    made = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=60),
        connector=aiohttp.TCPConnector(limit=0),
    )
    made._retry_connection = False
    return made


class Steady(Traffic):
    """Users who charge, and hold and settle, some 15 times a second each."""

    async def __aenter__(self) -> Self:
        self._session = session()
        for _ in range(self.users):
            login = await log_in(self._session, self.url, self.tenant_id)
            self.clients.append(Client(self._session, self.url, self.tenant_id, login))
        self._tasks = [asyncio.create_task(self._run(client)) for client in self.clients]
        return self

    async def _run(self, client: Client) -> None:
        while not self._stop.is_set():
            await client.random.choice((client.charge, client.hold_and_settle, client.grant))()
            await asyncio.sleep(PAUSE_SECONDS)

    def failures(self) -> dict[str, int]:
        """What was answered otherwise than on a good day, and how often."""
        return {reply: n for reply, n in self.replies().items() if reply not in NORMAL}


@dataclass
class Streamer:
    """A user who streams one answer after the other; `told` is the usage that it was told of."""

    protocol: str
    user_id: str
    headers: dict[str, str]
    told: int = 0
    whole: int = 0
    under_way: bool = False
    failures: list[str] = field(default_factory=list)


class Streams:
    """Streamers who begin one after the other, so that at any time some streams are young."""

    def __init__(self, url: str, tenant_id: str, count: int, prompt: str, pieces: int) -> None:
        self._base = f"{url}/{tenant_id}"
        self._url, self._tenant_id, self._count = url, tenant_id, count
        self._prompt, self._pieces = prompt, pieces
        self._stop = asyncio.Event()
        self.streamers: list[Streamer] = []

    async def __aenter__(self) -> Self:
        self._session = session()
        for number in range(self._count):
            login = await log_in(self._session, self._url, self._tenant_id)
            headers = {
                "Authorization": f"Bearer {login['apiKey']}",
                "anthropic-version": "2023-06-01",
            }
            self.streamers.append(Streamer(list(PATHS)[number % 2], login["userId"], headers))
        self._tasks = [
            asyncio.create_task(self._run(streamer, number * STAGGER_SECONDS))
            for number, streamer in enumerate(self.streamers)
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Begins no more, and waits for those under way."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        await self._session.close()

    def are_under_way(self) -> bool:
        """Nearly all of them."""
        return sum(streamer.under_way for streamer in self.streamers) >= len(self.streamers) - 1

    def failures(self) -> list[str]:
        return [failure for streamer in self.streamers for failure in streamer.failures]

    async def _run(self, streamer: Streamer, begin_after: float) -> None:
        await asyncio.sleep(begin_after)
        while not self._stop.is_set():
            try:
                await self._stream(streamer)
            except (aiohttp.ClientError, TimeoutError) as error:
                streamer.failures.append(repr(error))
                await asyncio.sleep(PAUSE_SECONDS)
            streamer.under_way = False

    async def _stream(self, streamer: Streamer) -> None:
        body = {
            "model": f"{streamer.protocol}-model",
            "messages": [{"role": "user", "content": self._prompt}],
            "max_tokens": 200,
            "stream": True,
        }
        if streamer.protocol == "openai":
            body["stream_options"] = {"include_usage": True}
        path = self._base + PATHS[streamer.protocol]
        async with self._session.post(path, json=body, headers=streamer.headers) as reply:
            if reply.status != 200:
                streamer.failures.append(f"status {reply.status}: {await reply.text()}")
                return
            streamer.under_way = True
            lines = [line.strip() async for line in reply.content if line.strip()]
        if lines[-1:] != [LAST_LINE[streamer.protocol]]:
            streamer.failures.append(f"cut after {len(lines)} lines: {lines[-1:]}")
            return
        pieces, told = _content(lines)
        if pieces != self._pieces:
            streamer.failures.append(f"{pieces} pieces")
        streamer.whole += 1
        streamer.told += told


def _content(lines: list[bytes]) -> tuple[int, int]:
    """How many pieces of text a whole stream has, and the tokens that it says were used."""
    pieces = told = 0
    for line in lines:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line.removeprefix(b"data: "))
        choices = event.get("choices") or [{}]
        delta = event.get("delta") or choices[0].get("delta") or {}
        pieces += bool(delta.get("content") or delta.get("text"))
        usage: dict[str, Any] = event.get("usage") or {}
        if usage:
            told = usage.get("total_tokens") or usage["input_tokens"] + usage["output_tokens"]
    return pieces, told
