"""Provider: a session at a provider, which begins before its client's handshake is answered.

OpenAI accepts any handshake, and says behind it what is wrong: by an `error` event, then a close.
"""

import asyncio
import logging
from typing import NamedTuple
from urllib.parse import quote

import orjson

from server.errors import NoModel, Refusal
from server.providers import refusals
from server.providers.errors import (
    ProviderAuthError,
    ProviderBusy,
    ProviderError,
    ProviderQuota,
    ProviderTimeout,
)
from server.providers.reading import an_object, string
from server.tenants.realtime import RealtimeEndpoint
from server.upstream.client import Upstream
from server.upstream.errors import Unreachable
from server.voice.message import is_complex
from server.voice.opening import Event
from server.websocket.join import NotJoined, Refused, join
from server.websocket.line import Line, Memory
from server.websocket.socket import Socket

log = logging.getLogger(__name__)

_NO_MODEL = frozenset({"model_not_found", "invalid_model", "unknown_model", "model_not_available"})
_SPENT = frozenset({"credit_balance_exhausted", "organization_spend_limit_exceeded"})
_PASSED_ON = (ProviderAuthError, ProviderBusy, ProviderQuota)


class Asked(NamedTuple):
    """What is asked of a provider: a session with `model` at the endpoint called `name`; `user` is
    what the provider knows the user by."""

    name: str
    endpoint: RealtimeEndpoint
    model: str
    user: str

    @property
    def url(self) -> str:
        url = self.endpoint.http_url(self.name)
        return f"{url}{'&' if '?' in url else '?'}model={quote(self.model, safe='')}"

    @property
    def headers(self) -> dict[str, str]:
        key = self.endpoint.api_key
        found = {"User-Agent": "vibe-server", "OpenAI-Safety-Identifier": self.user}
        return {**found, "Authorization": f"Bearer {key}"} if key else found


async def begin(
    upstream: Upstream, asked: Asked, tenant_id: str, memory: Memory
) -> tuple[Socket, Event]:
    """The provider's end, paused, and its `session.created`. Raises NoModel and ProviderError."""
    try:
        async with asyncio.timeout(upstream.timeouts.session):
            return await _begin(upstream, asked, tenant_id, memory)
    except TimeoutError:
        refusal: Refusal = ProviderTimeout()
    except (Unreachable, NotJoined) as error:
        refusal = ProviderError(str(error))
    except Refused as refused:
        refusal = _refusal(
            refusals.of_reply(
                refused.status, refused.headers, refused.body, asked.endpoint.api_key or ""
            ),
            asked.model,
        )
        refusal.reason = str(refused)
    except Refusal as error:
        refusal = error
    log.warning(
        "Endpoint %s of tenant %s: %s", asked.name, tenant_id, refusal.reason or refusal.message
    )
    raise refusal from None


async def _begin(
    upstream: Upstream, asked: Asked, tenant_id: str, memory: Memory
) -> tuple[Socket, Event]:
    dialled = await upstream.dial(asked.url, tenant_id)
    first = _First()
    # ws for http, and wss for https.
    socket = await join(
        Line(*dialled),
        f"ws{asked.url.removeprefix('http')}",
        asked.headers,
        first,
        upstream.timeouts,
        memory,
    )
    first.socket = socket
    try:
        return socket, _created(await first.came, asked)
    except BaseException:
        socket.close(1000)
        raise


class _First:
    """Listens for the first message, or the end that comes instead: its reason."""

    def __init__(self) -> None:
        self.socket: Socket | None = None
        self.came: asyncio.Future[bytes | str] = asyncio.get_running_loop().create_future()

    def message(self, text: bytes) -> None:
        if self.socket is not None:
            self.socket.pause()
        self._end(text)

    def closed(self, code: int, reason: str) -> None:
        self._end(reason)

    def full(self, is_full: bool) -> None:
        pass

    def _end(self, what: bytes | str) -> None:
        if not self.came.done():
            self.came.set_result(what)


def _created(came: bytes | str, asked: Asked) -> Event:
    """Raises Refusal."""
    if isinstance(came, str):
        kind, _, code = came.partition(".")
        raise _failure({"error": {"type": kind, "code": code}}, asked)
    if is_complex(came):
        raise ProviderError("no session.created, but very much else")
    try:
        event = orjson.loads(came)
    except orjson.JSONDecodeError:
        event = None
    what = event.get("type") if isinstance(event, dict) else None
    if what == "error":
        raise _failure({"error": event.get("error")}, asked)
    if what != "session.created" or not isinstance(event.get("session"), dict):
        raise ProviderError("no session.created")
    created: Event = event
    return created


def _failure(failure: Event, asked: Asked) -> Refusal:
    error = failure["error"]
    code = string(an_object(error).get("code"))
    if code in _SPENT:
        return ProviderQuota()
    if code in _NO_MODEL:
        return _no_model(asked.model)
    found = _refusal(refusals.of_failure(failure, asked.endpoint.api_key or ""), asked.model)
    found.reason = f"code {code!r:.100}"
    return found


def _refusal(found: Refusal, model: str) -> Refusal:
    """Of what a provider says only that is passed on which is no fault of ours."""
    if isinstance(found, _PASSED_ON):
        return found
    if found.code in _NO_MODEL or found.status == 404:
        return _no_model(model)
    return ProviderError()


def _no_model(model: str) -> NoModel:
    return NoModel(
        f"The provider does not know the model {model[:100]!r}; those of OpenAI's preview are gone"
    )
