"""Calls whose reply is read to its end before the client gets it."""

import re
from functools import partial

import orjson

from server.aside import aside
from server.errors import Refusal
from server.gateway.calls import Call
from server.gateway.exchange import Exchange
from server.gateway.failures import failure_of
from server.gateway.room import Portion
from server.metering.holding import Ending
from server.providers.bounds import MOST_REPLY_BYTES, MOST_REPLY_VALUES, TooLarge, can_be_parsed
from server.providers.errors import ProviderError, ReplyTooLarge
from server.providers.refusals import value_of
from server.upstream.errors import UpstreamError
from server.upstream.response import Response
from server.upstream.turns import LIGHT_BYTES

# What an answer begins with: not an error, a page, or the blanks that some send while they think.
_BLANKS = rb"\s{0,65536}+"
_ANSWER = re.compile(
    rb'%b\{(?!%b"(?:(?:errors?|detail|message|msg|code)"|(?:type|object)"%b:%b"error"))'
    % ((_BLANKS,) * 4)
)
_END = re.compile(rb"\}\s*\Z")
_END_BYTES = 100


async def complete(call: Call, portion: Portion) -> tuple[bytes, dict[str, str]]:
    """Makes the call, to its end, whether or not somebody waits for it; returns the reply's body
    and headers. The reply takes `portion`, which whoever asked for it has leave. Raises Refusal."""
    body, failure = None, None

    async def end() -> Ending:
        if failure is not None:
            return call.charged(failure.label)
        return call.free() if body is None else call.charged("completed")

    try:
        async with call.hold(end) as hold:
            try:
                body = await call.try_each(hold.held, partial(_accept, portion))
            except Refusal as refusal:
                failure = refusal
                call.forget_bodies()
    except BaseException:
        call.forget_bodies()
        raise
    headers = hold.held.rate.headers()
    if hold.settled is not None:
        headers |= hold.settled.headers()
    if failure is not None:
        failure.headers = {**headers, **failure.headers}
        raise failure
    assert body is not None
    return body, headers


async def _accept(portion: Portion, exchange: Exchange, response: Response) -> bytes:
    """The reply as the client takes it. Raises ProviderError: for one that is as bad as none, and
    for one that is owed for, as it had begun as an answer and cannot be read to its end."""
    try:
        raw = await response.read(MOST_REPLY_BYTES, portion.resize)
    except UpstreamError as error:
        failure = failure_of(error)
        if not _ANSWER.match(error.body):
            raise failure from None
        raise exchange.owe(failure, len(error.body)) from None
    try:
        if len(raw) <= MOST_REPLY_VALUES:
            if len(raw) > LIGHT_BYTES:
                await response.turn()
            body = _read(exchange, raw)
        else:
            body = await aside(portion.owners, _read, exchange, raw)
    except TooLarge:
        raise exchange.owe(ReplyTooLarge("too many values"), len(raw)) from None
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        raise exchange.owe(ProviderError("too deep")) from None
    # Translated it can be three times as large, and its client may be slow to read it.
    if not portion.resize(len(body)):
        raise exchange.owe(ReplyTooLarge("no room"))
    return body


def looks_whole(raw: bytes) -> bool:
    """Is it an answer from its beginning to its end, for all that can be told without parsing?"""
    begins = _ANSWER.match(raw) is not None
    return begins and _END.search(raw, max(len(raw) - _END_BYTES, 0)) is not None


def _read(exchange: Exchange, raw: bytes) -> bytes:
    """Raises TooLarge, JSONEncodeError; ProviderError for what is no answer."""
    translation, tally = exchange.sent.translation, exchange.tally
    if not can_be_parsed(raw, MOST_REPLY_VALUES):
        if not looks_whole(raw):
            raise ProviderError("not an object")
        if not translation.passes_replies_on:
            raise TooLarge
        tally.skim_reply(raw, exchange.most_output)
        return raw
    value = value_of(raw)
    tally.see_reply(value)
    if (refusal := exchange.progress.refusal) is not None:
        raise refusal
    return translation.reply(raw, value, exchange.sent.source)
