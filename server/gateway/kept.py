"""Responses that an endpoint keeps, as its config allows that: each is its user's alone."""

import logging

from server.errors import Unavailable
from server.gateway.attempts import Attempt, plan_attempts
from server.gateway.exchange import Exchange
from server.gateway.options import Asked
from server.gateway.room import Portion
from server.metering.errors import NoResponse
from server.metering.kept_responses import KeptResponses
from server.providers import refusals
from server.providers.bounds import MOST_REPLY_BYTES
from server.providers.errors import ProviderError, ProviderTimeout, ReplyTooLarge
from server.providers.estimate import PROMPT_BYTES
from server.providers.responses import RESPONSES
from server.tenants.endpoints import TextEndpoints
from server.tenants.text import TextEndpoint
from server.upstream.client import Upstream
from server.upstream.errors import TimedOut, TooLong, UpstreamError
from server.who import Who

log = logging.getLogger(__name__)

PREVIOUS = "previous_response_id"


async def continuing(
    kept: KeptResponses, who: Who, asked: Asked, attempts: list[Attempt]
) -> list[Attempt]:
    """Those of the attempts that know the response which this one goes on with; all of that is in
    its prompt. Raises NoResponse, Unsupported."""
    previous = asked.ask.previous
    found = await kept.find(who, previous, PREVIOUS)
    asked.prompt.size += found.tokens * PROMPT_BYTES
    targets = [
        one.target
        for one in attempts
        if one.target.name == found.endpoint and one.target.wire is RESPONSES
    ]
    if not targets:
        raise NoResponse(previous, PREVIOUS)
    return plan_attempts(asked, targets)


async def note(kept: KeptResponses, who: Who, exchange: Exchange) -> None:
    """Remembers whose the response is, before it is all with its client."""
    cost, name = exchange.cost(), exchange.attempt.target.name
    try:
        await kept.keep(who, exchange.tally.reply_id, name, cost.input + cost.output)
    except Unavailable:
        log.warning("Whose a kept response is could not be stored: nobody can ask for it")


class KeptAt:
    """The endpoint that keeps a response."""

    def __init__(self, upstream: Upstream, who: Who, text: TextEndpoints | None) -> None:
        self._upstream = upstream
        self._tenant_id = who.tenant_id
        self._endpoints = text.endpoints if text is not None else {}

    async def get(self, endpoint: str, response_id: str, portion: Portion) -> bytes:
        """Raises NoResponse, ProviderError, ProviderRefused."""
        return await self._ask("GET", endpoint, response_id, portion)

    async def delete(self, endpoint: str, response_id: str, portion: Portion) -> None:
        """Raises as `get`."""
        await self._ask("DELETE", endpoint, response_id, portion)

    async def _ask(self, method: str, name: str, response_id: str, portion: Portion) -> bytes:
        endpoint = self._endpoints.get(name)
        url = endpoint.url_of_responses if endpoint is not None else None
        if endpoint is None or url is None or "store" not in endpoint.allow:
            raise NoResponse(response_id)
        asks = self._upstream.get if method == "GET" else self._upstream.delete
        seconds = self._upstream.timeouts.first_byte
        path, mark, query = url.partition("?")
        asked_at = endpoint.asked_at(f"{path}/{response_id}{mark}{query}")
        try:
            response = await asks(asked_at, _headers(endpoint), seconds, self._tenant_id)
            raw = bytes(await response.read(MOST_REPLY_BYTES, portion.resize))
        except UpstreamError as error:
            raise _failure(error) from None
        if response.status == 404:
            raise NoResponse(response_id)
        if not 200 <= response.status < 300:
            raise refusals.of_reply(response.status, response.headers, raw, *endpoint.secrets)
        return raw


def _headers(endpoint: TextEndpoint) -> dict[str, str]:
    return {**RESPONSES.headers(endpoint.api_key or "", {}), **endpoint.headers}


def _failure(error: UpstreamError) -> ProviderError:
    if isinstance(error, TimedOut):
        return ProviderTimeout()
    return ReplyTooLarge(str(error)) if isinstance(error, TooLong) else ProviderError(str(error))
