"""Failures of upstreams, as the providers' that they are for a client."""

from collections.abc import Sequence

from server.errors import Refusal
from server.providers import refusals
from server.providers.errors import ProviderError, ProviderTimeout, ReplyTooLarge
from server.upstream.errors import TimedOut, TooLong, UpstreamError
from server.upstream.response import MOST_ERROR_BYTES, Response


def failure_of(error: UpstreamError) -> ProviderError:
    """To be raised instead."""
    if isinstance(error, TimedOut):
        return ProviderTimeout()
    return ReplyTooLarge(str(error)) if isinstance(error, TooLong) else ProviderError(str(error))


async def refusal_of(response: Response, secrets: Sequence[str]) -> Refusal:
    """What an error's status means, and what is said with it as far as that can be read; none of
    the `secrets` is told."""
    try:
        raw = await response.read(MOST_ERROR_BYTES)
    except UpstreamError:
        raw = b""  # the status says enough
    refusal = refusals.of_reply(response.status, response.headers, raw, *secrets)
    refusal.reason = f"status {response.status}"
    return refusal
