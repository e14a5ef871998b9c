"""Questions to providers that cost nothing: nothing is held for them, and no other endpoint is
asked where one does not answer."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import NamedTuple

from server import metrics
from server.errors import Refusal
from server.providers import refusals
from server.providers.errors import ProviderError, ProviderTimeout
from server.tenants.http_endpoint import HttpEndpoint
from server.upstream.client import Upstream
from server.upstream.errors import TimedOut, UpstreamError
from server.upstream.response import MOST_ERROR_BYTES

log = logging.getLogger(__name__)


class Question(NamedTuple):
    """To the endpoint of this name; `api` is what the metrics call it, `headers` are those of its
    protocol."""

    tenant_id: str
    api: str
    name: str
    endpoint: HttpEndpoint
    url: str
    headers: Mapping[str, str]
    body: bytes


async def ask(
    upstream: Upstream, question: Question, most: int, grow: Callable[[int], bool] = lambda _: True
) -> bytes:
    """The body of its answer, of `most` bytes at most, for which there is room as `grow` says.
    Raises ProviderError, ProviderRefused."""
    started = monotonic()
    refusal: Refusal | None = None
    tenant_id, name = question.tenant_id, question.name
    try:
        async with asyncio.timeout(upstream.timeouts.unpaid):
            return await _ask(upstream, question, most, grow)
    except TimeoutError:
        refusal = ProviderTimeout()
        raise refusal from None
    except Refusal as error:
        refusal = error
        raise
    finally:
        if refusal is not None:
            told = refusal.reason or refusal
            log.warning("Endpoint %s of tenant %s: %s", name, tenant_id, told)
        outcome = refusal.label if refusal is not None else "completed"
        metrics.call_ended(tenant_id, name, question.api, outcome, monotonic() - started, 0)


async def _ask(
    upstream: Upstream, question: Question, most: int, grow: Callable[[int], bool]
) -> bytes:
    endpoint = question.endpoint
    headers = {**question.headers, **endpoint.headers}
    seconds, tenant_id = upstream.timeouts.unpaid, question.tenant_id
    try:
        response = await upstream.post(
            endpoint.asked_at(question.url),
            headers,
            question.body,
            seconds=seconds,
            tenant_id=tenant_id,
        )
        is_answer = response.status == 200
        raw = await response.read(most if is_answer else MOST_ERROR_BYTES, grow)
    except TimedOut:
        raise ProviderTimeout from None
    except UpstreamError as error:
        raise ProviderError(str(error)) from None
    if is_answer:
        return bytes(raw)
    refusal = refusals.of_reply(response.status, response.headers, raw, *endpoint.secrets)
    refusal.reason = f"status {response.status}"
    raise refusal
