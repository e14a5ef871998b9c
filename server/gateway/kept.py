"""Responses that an endpoint keeps, as its config allows that: each is its user's alone."""

import logging
from collections.abc import Callable
from typing import Literal

from server.errors import Unavailable
from server.gateway.attempts import Attempt, plan_attempts
from server.gateway.exchange import Exchange
from server.gateway.options import Asked
from server.gateway.room import Portion
from server.gateway.unpaid import Question, ask, beneath
from server.metering.errors import NoResponse
from server.metering.kept_responses import KeptResponses
from server.providers.bounds import MOST_REPLY_BYTES
from server.providers.errors import ProviderRefused
from server.providers.estimate import PROMPT_BYTES
from server.providers.responses import RESPONSES
from server.tenants.endpoints import TextEndpoints
from server.upstream.client import Upstream
from server.upstream.response import MOST_ERROR_BYTES
from server.who import Who

log = logging.getLogger(__name__)

PREVIOUS = "previous_response_id"

_API = "kept_responses"


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
        return await self._ask("GET", endpoint, response_id, MOST_REPLY_BYTES, portion.resize)

    async def delete(self, endpoint: str, response_id: str) -> None:
        """Raises as `get`."""
        await self._ask("DELETE", endpoint, response_id, MOST_ERROR_BYTES)

    async def _ask(
        self,
        method: Literal["GET", "DELETE"],
        name: str,
        response_id: str,
        most: int,
        grow: Callable[[int], bool] = lambda _: True,
    ) -> bytes:
        endpoint = self._endpoints.get(name)
        url = endpoint.url_of_responses if endpoint is not None else None
        if endpoint is None or url is None or "store" not in endpoint.allow:
            raise NoResponse(response_id)
        of_one, headers = beneath(url, response_id), RESPONSES.headers(endpoint.api_key or "", {})
        question = Question(self._tenant_id, _API, name, endpoint, of_one, headers, method=method)
        try:
            return await ask(self._upstream, question, most, grow)
        except ProviderRefused as refusal:
            if refusal.status == 404:
                raise NoResponse(response_id) from None
            raise
