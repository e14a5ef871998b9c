"""A session in the test's own process, at a double, with the real Valkey."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from server.metering.holding import Holding
from server.metering.meter import Meter
from server.metering.renewal import Renewal
from server.store.store import Store
from server.tenants.config import TenantConfig
from server.timeouts import Timeouts
from server.voice.opening import Ending, Opening
from server.voice.session import Session
from server.who import Who
from tests.api import Api, User, config
from tests.doubles.realtime import RealtimeDouble, speech
from tests.processes import Server
from tests.voice.ends import ClientEnd, DoublesEnd

HURRIED = Timeouts(
    read_on=0.5, let_end=0.5, created=2, transcribed=0.5, redis_away=0.6, ask_redis=0.1,
    tokens_held=0.5, ask_again=0.1, extend=0.2,
)  # fmt: skip


class Talk:
    """A session that runs."""

    def __init__(
        self, client: ClientEnd, upstream: DoublesEnd, session: Session, holding: Holding
    ) -> None:
        self.client = client
        self.upstream = upstream
        self.session = session
        self.holding = holding
        self.running = asyncio.create_task(session.run())
        holding.wait_for(self.running)

    async def ending(self) -> Ending:
        async with asyncio.timeout(10):
            return await self.running

    async def update(self, session: dict[str, Any]) -> dict[str, Any]:
        """What the provider says once it has taken these members of its session."""
        self.client.say("session.update", session=session)
        return await self.client.until("session.updated")

    async def dictate(self, **transcription: str) -> None:
        """Commits two seconds of speech, of which there is to be a transcript, set like this."""
        heard = {"transcription": transcription, "turn_detection": None}
        session = {"type": "realtime", "audio": {"input": heard}}
        await self.update(session)
        self.client.say("input_audio_buffer.append", audio=audio(speech(2)))
        self.client.say("input_audio_buffer.commit")


Open = Callable[..., Awaitable[Talk]]


@pytest.fixture(scope="module")
def double() -> Iterator[RealtimeDouble]:
    with RealtimeDouble() as double:
        yield double


@pytest.fixture
def http(gateway: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=20) as http:
        yield http


@pytest.fixture
async def talk(double: RealtimeDouble, store: Store) -> AsyncIterator[Open]:
    """Opens a session of a user with the double's model `key`, and waits for its `first` event;
    `members` of the endpoint."""
    talks: list[Talk] = []
    meter = Meter(store, 200, Renewal(store, 200, 1_000_000))

    async def open_one(
        user: User,
        key: str,
        who: Who | None = None,
        session: Any = None,
        first: str = "session.created",
        timeouts: Timeouts = HURRIED,
        **members: Any,
    ) -> Talk:
        upstream, created = await DoublesEnd.open(double.url, key)
        given = voice_config(double.url, key, **members)
        tenant = TenantConfig.model_validate(given)
        realtime = tenant.providers.realtime
        assert realtime is not None
        opening = Opening(
            who or Who(user.api.tenant_id, user.user_id, user.api_key),
            tenant,
            "openai_realtime",
            realtime.endpoints["openai_realtime"],
            key,
            {"requestId": "request-1", "endpoint": "openai_realtime", "model": key},
            created,
            session or {},
        )
        holding = Holding(timeouts)
        client = ClientEnd()
        session_ = Session(client, upstream, opening, holding, lambda: meter)  # type: ignore[arg-type]
        talks.append(Talk(client, upstream, session_, holding))
        await client.until(first)
        return talks[-1]

    yield open_one
    for one in talks:
        one.client.leave()
        await one.ending()
        await one.holding.finish(0)
        await one.upstream.ended()


def voice_config(url: str, model: str, **members: Any) -> dict[str, Any]:
    """`groups` of the tenant, and members of its endpoint."""
    groups = members.pop("groups", {})
    of_double = {"url": f"{url}/v1/realtime", "model": model, "api_key": "sk-of-the-tenant"}
    realtime = {"endpoints": {"openai_realtime": of_double | members}, "default": "openai_realtime"}
    return config(**groups) | {"providers": {"realtime": realtime}}


def user_with(api: Api, tokens: int, **limits: int) -> User:
    group = {"tokens": tokens, "rate_limit": 10_000, "rate_limit_window": 60, **limits}
    assert api.put_config(config(anonymous=group)).status_code == 200
    return api.login()


def refs(user: User, op: str = "settle") -> list[dict[str, Any]]:
    """What the ledger says of such entries, the oldest first."""
    return [entry["ref"] for entry in user.ledger()[::-1] if entry["op"] == op]


def audio(data: bytes) -> str:
    """As it is appended."""
    return base64.b64encode(data).decode()
