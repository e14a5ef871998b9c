"""The metrics, for Prometheus; and how handlers count what they refuse."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Annotated, Any

from pydantic import Field
from sanic import Blueprint
from typing_extensions import TypeAliasType

from server.blueprints.request import Request
from server.errors import NotFound, Refusal
from server.metrics.shared import this_worker
from server.metrics.text import CONTENT_TYPE
from server.openapi.route import Answer, Doc
from server.replies import Reply

Handler = Callable[..., Coroutine[Any, Any, Reply]]

public = Blueprint("metrics")
own_port = Blueprint("metrics-port")

_EXAMPLE = """\
# HELP vibe_requests_total Requests that were answered.
# TYPE vibe_requests_total counter
vibe_requests_total{route="GET /livez",status="200"} 2.0
"""
Metrics = TypeAliasType("Metrics", Annotated[str, Field(examples=[_EXAMPLE])])


@public.get(
    "/metrics",
    ctx_doc=Doc(
        "Server",
        "What the server counts and measures, for Prometheus",
        [Answer("the metrics of all workers", Metrics, media_type="text/plain")],
        about="With `METRICS_PORT` they are on that port, without a token, and not here.",
        credential="admin",
    ),
)
async def read_metrics(request: Request) -> Reply:
    if request.services.settings.metrics_port:
        raise NotFound
    request.require_admin()
    return await _metrics()


@own_port.get("/metrics")
async def read_metrics_without_token(_: Request) -> Reply:
    return await _metrics()


async def _metrics() -> Reply:
    return Reply(await this_worker.text(), content_type=CONTENT_TYPE)


def counts_refusals(answered: Callable[[str, str], None]) -> Callable[[Handler], Handler]:
    """Each refusal of the handler is an outcome: `answered(tenant_id, label)`."""

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        async def counted(request: Request, tenant_id: str, **rest: str) -> Reply:
            try:
                return await handler(request, tenant_id, **rest)
            except Refusal as refusal:
                answered(tenant_id, refusal.label)
                raise

        return counted

    return decorate
