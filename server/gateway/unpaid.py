"""Questions to providers that cost nothing: nothing is held for them, and no other endpoint is
asked where one does not answer."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Literal, NamedTuple

from server import metrics
from server.errors import Refusal
from server.gateway.failures import failure_of, refusal_of
from server.providers.errors import ProviderTimeout
from server.tenants.http_endpoint import HttpEndpoint
from server.upstream.client import Upstream
from server.upstream.errors import UpstreamError
from server.upstream.response import Response

log = logging.getLogger(__name__)


class Question(NamedTuple):
    """To the endpoint of this name; `api` is what the metrics call it, `headers` are those of its
    protocol. `body` is that of a POST."""

    tenant_id: str
    api: str
    name: str
    endpoint: HttpEndpoint
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    method: Literal["GET", "POST", "DELETE"] = "POST"


def beneath(url: str, name: str) -> str:
    """What has this name beneath a URL, which may have a query."""
    path, question_mark, query = url.partition("?")
    return f"{path}/{name}{question_mark}{query}"


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
    try:
        response = await _sent(upstream, question)
        if 200 <= response.status < 300:
            return await response.read(most, grow)
    except UpstreamError as error:
        raise failure_of(error) from None
    raise await refusal_of(response, question.endpoint.secrets)


async def _sent(upstream: Upstream, question: Question) -> Response:
    """Raises UpstreamError."""
    endpoint, tenant_id, seconds = question.endpoint, question.tenant_id, upstream.timeouts.unpaid
    url, headers = endpoint.asked_at(question.url), {**question.headers, **endpoint.headers}
    if question.method == "POST":
        body = question.body
        return await upstream.post(url, headers, body, seconds=seconds, tenant_id=tenant_id)
    asks = upstream.get if question.method == "GET" else upstream.delete
    return await asks(url, headers, seconds, tenant_id)
