"""How events reach an account's endpoint: signed, and as faulty as the operator wants."""

import asyncio
import hashlib
import hmac
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.doubles.stripe_api.world import Object

TRIES = 8
PAUSE_SECONDS = 0.05
REPLY_SECONDS = 20


@dataclass
class Faults:
    """What becomes of each event before it is there."""

    copies: int = 1
    """Delivered at the same time."""
    shuffle: int | None = None
    """The seed of chance by which those that are held are released in another order."""
    delay: float = 0
    """Seconds at most, a part of them by chance."""
    drop: list[str] = field(default_factory=list)
    """Types that are never delivered; `*` for all."""
    hold: bool = False
    """Until the operator releases them."""


class Delivery:
    """To `url`, signed with each of `secrets`; nothing is delivered while there is no URL."""

    def __init__(self) -> None:
        self.url = ""
        self.secrets: list[str] = []
        self.faults = Faults()
        self.statuses: dict[str, list[int]] = {}
        """What each event was answered, by ID; 0 where no answer came."""
        self._held: list[Object] = []
        self._under_way: set[asyncio.Task[None]] = set()

    def tell(self, event: Object) -> None:
        faults = self.faults
        event["pending_webhooks"] = 1 if self.url else 0
        event["_delivered"] = not self.url
        if not self.url or "*" in faults.drop or event["type"] in faults.drop:
            return
        if faults.hold:
            self._held.append(event)
        else:
            self.send(event)

    def release(self) -> None:
        held, self._held = self._held, []
        if self.faults.shuffle is not None:
            random.Random(self.faults.shuffle).shuffle(held)
        for event in held:
            self.send(event)

    def send(self, event: Object) -> None:
        for _ in range(self.faults.copies):
            task = asyncio.create_task(self._deliver(event))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def finish(self) -> None:
        """Waits until each event that is under way was taken, or tried often enough."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _deliver(self, event: Object) -> None:
        body = json.dumps({name: value for name, value in event.items() if name[0] != "_"})
        for number in range(TRIES):
            await asyncio.sleep(random.random() * self.faults.delay)
            status = await self._post(body.encode())
            self.statuses.setdefault(event["id"], []).append(status)
            if 200 <= status < 300:
                event |= {"_delivered": True, "pending_webhooks": 0}
                return
            await asyncio.sleep(PAUSE_SECONDS * 2**number)

    async def _post(self, body: bytes) -> int:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(body, self.secrets),
        }
        timeout = aiohttp.ClientTimeout(REPLY_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(
                    self.url, data=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                await response.read()
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return 0


def signature(body: bytes, secrets: list[str], at: int | None = None) -> str:
    """The header's value; `at` is when, in seconds."""
    at = int(time.time()) if at is None else at
    sums: list[Any] = [
        hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
        for secret in secrets
    ]
    return ",".join([f"t={at}", *(f"v1={each}" for each in sums)])
