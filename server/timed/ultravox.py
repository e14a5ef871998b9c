"""Ultravox: its calls, on the wire.

Sources: https://docs.ultravox.ai/api-reference/calls
"""

import asyncio
import re
from collections.abc import Callable
from datetime import datetime
from time import time
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit, urlunsplit

import orjson

from server.providers import refusals
from server.providers.errors import ProviderError, ProviderRefused, ProviderTimeout
from server.structure import structure_of
from server.timed.provider import Account, Bill, Made, State, Wanted
from server.upstream.client import Upstream
from server.upstream.errors import TimedOut, UpstreamError
from server.upstream.response import Response

_MOST_BYTES = 1024 * 1024
_MOST_VALUES, _MOST_DEPTH = 20_000, 128
_CALLS = " calls"
"""With its tenant behind it, what no user is called: all its calls share the room of one."""
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECONDS = re.compile(r"([0-9]{1,9})(\.[0-9]+)?s")
_LONGEST_URL = 4096
_MOST_AHEAD_SECONDS = 86_400
"""Of our clock: a call that has ended in some hundred years would be looked at until then."""
_MOST_SIDE_TOKENS = 10**9
# What nobody pays for; other free ones are so for the tenant alone, and the user has used them.
_FREE = ("BILLING_STATUS_FREE_ZERO_EFFECTIVE_DURATION", "BILLING_STATUS_FREE_SYSTEM_ERROR")
_OPEN = ("BILLING_STATUS_PENDING", "BILLING_STATUS_UNSPECIFIED", None)


class Portion(Protocol):
    """What one reply has of the room."""

    def resize(self, size: int) -> bool:
        """Whether it may take so many bytes."""

    def leave(self) -> None: ...


class Ultravox:
    join_seconds = 30
    step = 6

    def __init__(self, upstream: Upstream, portion: Callable[[str, str], Portion]) -> None:
        """`portion` makes one of the room for replies, for a tenant and one of its users."""
        self._upstream = upstream
        self._portion = portion

    async def make(self, account: Account, wanted: Wanted) -> Made:
        value = await self._ask("POST", account, account.url, _request(wanted, self.join_seconds))
        call_id, join_url = value.get("callId"), value.get("joinUrl")
        if not isinstance(call_id, str) or not _CALL_ID.fullmatch(call_id):
            raise ProviderError("a call without an ID")
        if not isinstance(join_url, str) or not 0 < len(join_url) <= _LONGEST_URL:
            raise ProviderError("a call without a joinUrl")
        return Made(call_id, join_url)

    async def look(self, account: Account, call_id: str) -> State | None:
        url = _path(account.url, call_id)
        deleted = _path(account.url.replace("/api/calls", "/api/deleted_calls"), call_id)
        try:
            return self._state(await self._ask("GET", account, url), is_deleted=False)
        except ProviderRefused as refusal:
            if refusal.status != 404:
                raise
        try:
            return self._state(await self._ask("GET", account, deleted), is_deleted=True)
        except ProviderRefused as refusal:
            if refusal.status != 404:
                raise
        return None

    async def hang_up(self, account: Account, call_id: str) -> None:
        url = _path(account.url, f"{call_id}/send_data_message")
        try:
            await self._ask("POST", account, url, {"type": "hang_up", "message": ""})
        except ProviderRefused as refusal:
            # Of one that nobody has joined, that is over, or that is not there.
            if refusal.status not in (400, 404, 409, 410, 422):
                raise

    async def _ask(
        self, method: str, account: Account, url: str, body: Any = None
    ) -> dict[str, Any]:
        """Raises ProviderError, ProviderRefused; what is no object is an empty one."""
        try:
            async with asyncio.timeout(self._upstream.timeouts.timed_provider):
                response, raw = await self._answer(method, account, url, body)
        except UpstreamError as error:
            _fail(error)
        except TimeoutError:
            raise ProviderTimeout from None
        if structure_of(raw, _MOST_VALUES, _MOST_DEPTH) is None:
            raise ProviderError("a reply of very many values")
        if not 200 <= response.status < 300:
            raise refusals.of_reply(response.status, response.headers, raw, account.api_key)
        value = refusals.value_of(raw)
        return value if isinstance(value, dict) else {}

    async def _answer(
        self, method: str, account: Account, url: str, body: Any
    ) -> tuple[Response, bytes]:
        """With its body, for which there must be room. Raises UpstreamError."""
        tenant_id, seconds = account.tenant_id, self._upstream.timeouts.timed_provider
        headers = {"x-api-key": account.api_key, "content-type": "application/json"}
        if method == "GET":
            response = await self._upstream.get(url, headers, seconds, tenant_id)
        else:
            sent = orjson.dumps(body)
            response = await self._upstream.post(
                url, headers, sent, seconds=seconds, tenant_id=tenant_id
            )
        portion = self._portion(tenant_id, f"{_CALLS} {tenant_id}")
        try:
            return response, await response.read(_MOST_BYTES, portion.resize)
        finally:
            portion.leave()

    def _state(self, call: dict[str, Any], is_deleted: bool) -> State:
        joined, ended = _time(call.get("joined")), _time(call.get("ended"))
        if joined is None:
            if ended is None:
                return State("created", is_last=is_deleted)
            return State("ended", 0, _ms(ended), Bill(0), True)
        used = self._steps((ended or time()) - joined)
        if ended is None:
            return State("joined", used, is_last=is_deleted)
        return State("ended", used, _ms(ended), _bill(call, used), is_deleted)

    def _steps(self, seconds: float) -> int:
        """As it bills."""
        return -(-_whole(seconds) // self.step) * self.step


def _request(wanted: Wanted, join_seconds: int) -> dict[str, Any]:
    options = dict(wanted.options)
    body: dict[str, Any] = {
        "joinTimeout": f"{join_seconds}s",
        "maxDuration": f"{wanted.seconds}s",
        "recordingEnabled": False,
        "metadata": {"gateway": wanted.mark},
    }
    if options.pop("medium", "webrtc") == "websocket":
        body["medium"] = {"serverWebSocket": {"inputSampleRate": wanted.sample_rate}}
    if wanted.model:
        body["model"] = wanted.model
    if wanted.voice:
        body["voice"] = wanted.voice
    if wanted.callback:
        told = {"url": wanted.callback}
        body["callbacks"] = {"joined": told, "ended": told, "billed": told}
    return options | body


def _bill(call: dict[str, Any], used: int) -> Bill | None:
    status = call.get("billingStatus")
    if status in _OPEN:
        return None
    side = (_tokens(call.get(f"billedSide{way}Tokens")) for way in ("Input", "Output"))
    if status in _FREE:
        return Bill(0)
    found = _SECONDS.fullmatch(str(call.get("billedDuration")))
    return Bill(_whole(float(found[1] + (found[2] or ""))) if found else used, *side)


def _tokens(value: Any) -> int:
    return value if type(value) is int and 0 < value <= _MOST_SIDE_TOKENS else 0


def _time(value: Any) -> float | None:
    """Seconds since 1970. Raises ProviderError: what is charged depends on it."""
    if value is None:
        return None
    try:
        seconds = datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        raise ProviderError("a time that is none") from None
    if not 0 <= seconds <= time() + _MOST_AHEAD_SECONDS:
        raise ProviderError("a time that cannot be")
    return seconds


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _whole(seconds: float) -> int:
    """Rounded up."""
    return max(-int(-seconds // 1), 0)


def _path(url: str, rest: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{rest}", fragment=""))


def _fail(error: UpstreamError) -> NoReturn:
    raise ProviderTimeout() if isinstance(error, TimedOut) else ProviderError(str(error)) from None
