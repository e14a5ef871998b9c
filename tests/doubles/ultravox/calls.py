"""All calls of a double: what happens to one, and when."""

import asyncio
import hashlib
import hmac
import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import aiohttp

from tests.doubles.ultravox.call import Call, Delivery
from tests.doubles.ultravox.clock import Clock
from tests.doubles.ultravox.course import Course, Fault

RETRIES = 10
FIRST_RETRY_SECONDS = 30
_TIMEOUT = aiohttp.ClientTimeout(total=5)


class Calls:
    def __init__(self) -> None:
        self.clock = Clock()
        self.faults: dict[tuple[str, str], Fault] = {}
        """By key, and `create`, `get` or `send`."""
        self._courses: dict[str, list[Course]] = {}
        self.all: dict[str, Call] = {}
        self.asked: defaultdict[str, int] = defaultdict(int)
        """How often anything was asked with a key."""
        self._ends: dict[str, asyncio.Event] = {}

    def put(self, key: str, courses: tuple[Course, ...]) -> None:
        self._courses[key] = list(courses)

    def take(self, key: str) -> Course:
        courses = self._courses.get(key) or [Course()]
        return courses.pop(0) if len(courses) > 1 else courses[0]

    def make(self, key: str, asked: dict[str, Any], course: Course, url: str) -> Call:
        call = Call(key, asked, course, self.clock.now, url)
        self.all[call.call_id] = call
        self._ends[call.call_id] = asyncio.Event()
        self.clock.at(call.seconds_of("joinTimeout", 30), lambda: self._expire(call))
        return call

    def join(self, call: Call) -> None:
        if call.joined is not None or call.ended is not None:
            return
        call.joined = self.clock.now
        most = call.seconds_of("maxDuration", 3600) + call.course.overshoot
        self.clock.at(most, lambda: self.end(call, "timeout"))
        self._tell(call, "joined")

    def end(self, call: Call, reason: str) -> None:
        if call.ended is not None:
            return
        call.ended, call.end_reason = self.clock.now, reason
        self._ends[call.call_id].set()
        self._tell(call, "ended")
        if call.course.bills_after is not None:
            self.clock.at(call.course.bills_after, lambda: self._bill(call))

    async def until_ended(self, call: Call) -> None:
        await self._ends[call.call_id].wait()

    async def send(
        self, call: Call, event: str, body: bytes, secret: str | None, attempt: int = 1
    ) -> None:
        """One callback, and its tries again. `secret`: other than those that were asked for."""
        wanted = (call.asked.get("callbacks") or {}).get(event)
        if wanted is None:
            return
        secrets = wanted.get("secrets") or [] if secret is None else [secret]
        status = await _post(wanted["url"], body, secrets)
        call.deliveries.append(Delivery(event, attempt, status))
        if not 200 <= status < 300 and attempt <= RETRIES:

            def again() -> None:
                self.clock.soon(self.send(call, event, body, secret, attempt + 1))

            self.clock.at(FIRST_RETRY_SECONDS * 2 ** (attempt - 1), again)

    def _expire(self, call: Call) -> None:
        if call.joined is None:
            self.end(call, "unjoined")

    def _bill(self, call: Call) -> None:
        call.bill()
        self._tell(call, "billed")

    def _tell(self, call: Call, event: str) -> None:
        body = json.dumps({"event": f"call.{event}", "call": call.shown()}).encode()

        def send() -> None:
            for _ in range(call.course.callback_times):
                self.clock.soon(self.send(call, event, body, None))

        if call.course.callback_delay:
            self.clock.at(call.course.callback_delay, send)
        else:
            send()


async def _post(url: str, body: bytes, secrets: list[str]) -> int:
    at = datetime.now(UTC).isoformat()
    signed = [
        hmac.new(secret.encode(), body + at.encode(), hashlib.sha256).hexdigest()
        for secret in secrets
    ]
    headers = {"content-type": "application/json", "x-ultravox-webhook-timestamp": at}
    if signed:
        headers["x-ultravox-webhook-signature"] = ",".join(signed)
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as client,
            client.post(url, data=body, headers=headers) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, TimeoutError):
        return 0
