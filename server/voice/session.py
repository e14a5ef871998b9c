"""Session: a client and a provider who talk, until one of them goes, or the balance is used up."""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic

from server import metrics
from server.errors import InvalidApiKey, Refusal, Unavailable, Unsupported
from server.metering.errors import PaymentRequired
from server.metering.holding import Holding
from server.metering.meter import Meter
from server.metering.results import SettleResult
from server.providers.reading import an_object
from server.voice import config, events
from server.voice.away import RedisAway
from server.voice.config import Config
from server.voice.context import Context
from server.voice.from_client import FromClient
from server.voice.from_provider import FromProvider
from server.voice.hearing import Hearing
from server.voice.message import Misbehaved
from server.voice.opening import (
    BALANCE,
    CLIENT,
    EXPIRED,
    NO_EVENTS,
    PROVIDER,
    REVOKED,
    Cause,
    Ending,
    Event,
    Opening,
)
from server.voice.responses import Responses
from server.voice.speech import Speech
from server.voice.terms import Terms
from server.voice.transcripts import Transcripts
from server.websocket.socket import Socket

log = logging.getLogger(__name__)


class Session:
    """One; both sockets are open, and the provider has said `session.created`."""

    def __init__(
        self,
        client: Socket,
        upstream: Socket,
        opening: Opening,
        holding: Holding,
        meter: Callable[[], Meter],
    ) -> None:
        """`meter` makes one for each hold, within the limits of the tenant."""
        self._client = client
        self._upstream = upstream
        self._created = opening.created
        self._terms = terms = Terms(opening, holding, meter)
        self._opening = terms.opening
        settings = Config(opening.model, terms.most_output)
        context, speech = Context(opening.endpoint.context), Speech()
        self._responses = Responses(self, terms, settings, context)
        self._away = RedisAway(self, terms)
        shared = (self, terms, settings, context)
        transcripts = Transcripts(self, terms, self._fall_behind)
        self._hearing = Hearing(*shared, speech, transcripts, self._responses.tags)
        self._from_client = FromClient(*shared, speech, self._responses, self._hold_up)
        self._from_provider = FromProvider(
            *shared, self._hearing, self._responses, self._from_client
        )
        self._over: asyncio.Future[Cause] = asyncio.get_running_loop().create_future()
        self._is_told = False
        self._is_client_here = self._is_upstream_here = True
        self._is_held_up = self._is_behind = False
        self._is_upstream_full = self._is_client_full = False
        self._is_unread = False
        """The client has not read what we ourselves have told it: until it has, nothing is read of
        it, or who sends what is refused, and reads nothing, would fill the memory."""

    async def run(self) -> Ending:
        """Until it has ended, and all is settled, or will be by `holding`. Whoever runs it lets
        that wait for this task at a shutdown."""
        began = monotonic()
        try:
            self._begin()
            cause = await self._over
            await self._wind_up(cause)
        finally:
            self._away.stop()
            self._client.close(PROVIDER.code)  # which is closed already, if nothing has failed
            self._upstream.close(CLIENT.code)
        return Ending(cause, monotonic() - began, self._terms.spent)

    def end(self, cause: Cause, is_told: bool = False) -> None:
        """It ends because of this, unless it does already. A response that runs is let end, which
        of any but the balance has a moment for that. `is_told`: the client has had its `error`."""
        self._responses.lives.stop()
        if not self._over.done():
            self._is_told = is_told
            self._over.set_result(cause)
        elif cause is not BALANCE:
            let_end = self._terms.timeouts.let_end
            asyncio.get_running_loop().call_later(let_end, self._responses.lives.cancel_all)

    # For its parts.

    def ask(self, event: Event) -> None:
        self._upstream.send(events.text_of(event))

    def tell(self, event: Event) -> None:
        if self._is_client_here:
            self._client.send(events.text_of(event))
        if self._is_client_full:
            self._is_unread = True
            self._let_client_send()

    def heed(self, refusal: Refusal, is_told: bool = False) -> None:
        if isinstance(refusal, PaymentRequired):
            self.end(BALANCE, is_told)
        elif isinstance(refusal, InvalidApiKey):
            self.end(REVOKED, is_told)
        elif isinstance(refusal, Unavailable) and not self._over.done():
            self._away.begin()

    def charged(self, settled: SettleResult) -> None:
        self._terms.spent += settled.tokens
        self.tell(events.balance(self._terms.spent, settled.tokens_left))

    def _hold_up(self, is_held_up: bool) -> None:
        self._is_held_up = is_held_up
        self._let_client_send()

    def _fall_behind(self, is_behind: bool) -> None:
        self._is_behind = is_behind
        self._let_client_send()

    def _let_client_send(self) -> None:
        if self._is_held_up or self._is_behind or self._is_upstream_full or self._is_unread:
            self._client.pause()
        else:
            self._client.resume()

    # Its beginning and its end.

    def _begin(self) -> None:
        """The provider is bound before the client has a word."""
        created, self._created = self._created, {}
        session, voice = an_object(created.get("session")), self._opening.endpoint.voice
        self._from_provider.configured(created)
        try:
            given = config.first(session, voice, self._opening.session)
            update = self._from_client.configure(given)
        except Unsupported as refusal:  # of a client secret, which another config let pass
            self.tell(events.refused(refusal, None))
            update = self._from_client.configure(config.first(session, voice, {}))
        event_id = self._responses.tags.new()
        self._from_provider.greet(created, event_id, lambda: self._hold_up(False))
        self._hold_up(True)
        self._client.listener = _Heard(self.client_said, self.client_is_full, self.client_left)
        self._upstream.listener = _Heard(
            self.provider_said, self.provider_is_full, self.provider_left
        )
        self.ask({**update, "event_id": event_id})
        self._upstream.resume()

    async def _wind_up(self, cause: Cause) -> None:
        timeouts = self._terms.timeouts
        if not (self._is_client_here and self._is_upstream_here):
            seconds = 0.0
        else:
            seconds = timeouts.whole if cause is BALANCE else timeouts.let_end
        # What a client does not read must not hide what its responses come to.
        asyncio.get_running_loop().call_later(seconds, self._upstream.resume)
        self._hearing.end()
        await self._responses.lives.finish(seconds)
        self._upstream.resume()
        await self._hearing.hear_out()
        self._upstream.close(CLIENT.code)
        await self._hearing.finish()
        error = None if self._is_told else events.ended(cause)
        if error is not None:
            self.tell(error)
        self._client.close(cause.code, cause.reason)

    # What the sockets say.

    def client_said(self, text: bytes) -> None:
        metrics.realtime_message("up")
        if not self._over.done():
            self._from_client.take(text)

    def client_left(self) -> None:
        self._is_client_here = False
        self.end(CLIENT)
        self._responses.lives.cancel_all()
        self._upstream.resume()  # also where it has not read: what it cost is yet to be said

    def client_is_full(self, is_full: bool) -> None:
        self._is_client_full = is_full
        if is_full:
            self._upstream.pause()
        else:
            self._is_unread = False
            self._upstream.resume()
            self._let_client_send()

    def provider_said(self, text: bytes) -> None:
        metrics.realtime_message("down")
        try:
            told = self._from_provider.hear(text)
        except Misbehaved as error:
            opening = self._opening
            log.warning("Endpoint %s of tenant %s: %s", opening.name, opening.who.tenant_id, error)
            self._upstream.close(NO_EVENTS.code)
            self.provider_left()
            return
        is_unread = self._is_client_full and self._over.done()
        if told is not None and self._is_client_here and not is_unread:
            self._client.send(told)

    def provider_left(self) -> None:
        self._is_upstream_here = False
        self._responses.lives.give_up("provider_error")
        self._hearing.give_up()
        has_expired = self._from_provider.has_expired
        self.end(EXPIRED if has_expired else PROVIDER, is_told=has_expired)

    def provider_is_full(self, is_full: bool) -> None:
        self._is_upstream_full = is_full
        self._let_client_send()


class _Heard:
    """The listener of one socket, for the session."""

    def __init__(
        self,
        said: Callable[[bytes], None],
        is_full: Callable[[bool], None],
        left: Callable[[], None],
    ) -> None:
        self.message = said
        self.full = is_full
        self._left = left

    def closed(self, code: int, reason: str) -> None:
        self._left()
