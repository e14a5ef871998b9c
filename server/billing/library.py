"""Stripe's library on our HTTP client. Only who bills imports it: it takes 9 MB and 0.2 s."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import stripe
from stripe import StripeError as StripeError

from server.upstream.client import Upstream
from server.upstream.errors import TimedOut, UpstreamError

RETRIES = 2
"""Of what failed or found no answer, with the same Idempotency-Key; not of 429."""
LARGEST_ANSWER = 4 * 1024 * 1024
"""Bytes; a hundred invoices of many lines."""

# It would keep an ID of this machine in the home directory, and send how long requests take.
stripe.enable_telemetry = False
# At lower levels the library logs what it sends.
logging.getLogger("stripe").setLevel(logging.WARNING)


class _Http(stripe.HTTPClient):
    name = "vibe-server"

    def __init__(self, upstream: Upstream, seconds: float) -> None:
        super().__init__()
        self._upstream = upstream
        self._seconds = seconds

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        # Ours has a User-Agent of its own.
        sent = {name: value for name, value in headers.items() if name != "User-Agent"}
        try:
            if method == "get":
                response = await self._upstream.get(url, sent, self._seconds)
            elif method == "delete":
                response = await self._upstream.delete(url, sent, self._seconds)
            else:
                body = (post_data or "").encode()
                response = await self._upstream.post(url, sent, body, seconds=self._seconds)
            answer = await response.read(LARGEST_ANSWER)
        except TimedOut as error:
            raise stripe.APIConnectionError(str(error), should_retry=True) from None
        except UpstreamError as error:
            raise stripe.APIConnectionError(str(error), should_retry=True) from None
        return answer, response.status, response.headers

    async def sleep_async(self, secs: float) -> None:
        await asyncio.sleep(secs)

    async def close_async(self) -> None:
        pass


class Client:
    """Asks with one API key; `url` has /v1/... under it."""

    def __init__(self, api_key: str, url: str, upstream: Upstream, seconds: float) -> None:
        self._client = stripe.StripeClient(
            api_key,
            base_addresses={"api": url.rstrip("/")},
            http_client=_Http(upstream, seconds),
            max_network_retries=RETRIES,
        )

    async def ask(self, method: str, path: str, params: Mapping[str, Any]) -> Any:
        """The answer's JSON. Raises stripe.StripeError."""
        response = await self._client.raw_request_async(method, path, **params)
        return response.data


def is_absent(error: StripeError) -> bool:
    """There is no such object."""
    return isinstance(error, stripe.InvalidRequestError) and error.http_status == 404


def is_mismatch(error: StripeError) -> bool:
    """The Idempotency-Key came with something else before."""
    return isinstance(error, stripe.IdempotencyError)


def is_refused(error: StripeError) -> bool:
    """It cannot be done, as things are."""
    return isinstance(error, stripe.InvalidRequestError)


def may_pass(error: StripeError) -> bool:
    """Asking again later may help."""
    is_down = isinstance(error, stripe.APIError) and (error.http_status or 500) >= 500
    return is_down or isinstance(error, stripe.APIConnectionError | stripe.RateLimitError)


def told(error: StripeError) -> str:
    """What is wrong, for the log: not the message, which may have parts of keys."""
    parts = type(error).__name__, error.http_status, error.code
    return " ".join(str(part) for part in parts if part)
