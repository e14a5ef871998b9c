"""Calls whose reply is read to its end before the client gets it."""

from typing import NamedTuple

import orjson

from server.errors import Refusal
from server.gateway.calls import Call
from server.gateway.exchange import Exchange
from server.metering.holding import Ending
from server.providers.errors import ProviderError, ProviderTimeout
from server.providers.reading import parse
from server.upstream.response import Failed, Response, TimedOut

MOST_REPLY_BYTES = 32 * 1024 * 1024


class Completed(NamedTuple):
    """The reply to a call."""

    body: bytes
    headers: dict[str, str]


async def complete(call: Call) -> Completed:
    """Makes the call, to its end, whether or not somebody waits for it. Raises Refusal."""
    body, failure = None, None

    async def end() -> Ending:
        return call.free() if body is None else call.charged("completed")

    async with call.hold(end) as hold:
        try:
            body = await call.try_each(hold.held, _accept)
        except Refusal as refusal:
            failure = refusal
    headers = hold.held.rate.headers()
    if hold.settled is not None:
        headers["x-tokens-charged"] = str(hold.settled.tokens)
        headers["x-tokens-left"] = str(hold.settled.tokens_left)
    if failure is not None:
        failure.headers = {**headers, **failure.headers}
        raise failure
    assert body is not None
    return Completed(body, headers)


async def _accept(exchange: Exchange, response: Response) -> bytes:
    """The reply as the client takes it. Raises ProviderError for one that is as bad as none."""
    try:
        raw = await response.read(MOST_REPLY_BYTES)
        value = parse(raw)
        if not isinstance(value, dict):
            raise ProviderError("not an object")
        exchange.tally.see_reply(value)
        refusal = exchange.progress.refusal
        if refusal is None:
            return exchange.attempt.translation.reply(raw, value)
    except TimedOut:
        raise ProviderTimeout from None
    except (Failed, orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        raise ProviderError(type(error).__name__) from None
    raise refusal
