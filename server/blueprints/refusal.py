"""The one error handler: refusals as replies, in the shape that the client of the route reads."""

import logging

from sanic import HTTPResponse
from sanic.exceptions import SanicException
from sanic.http import Http

from server import metrics
from server.blueprints import cors, unserved
from server.blueprints.client_address import client_network
from server.blueprints.preflight import allowed_methods
from server.blueprints.request import Request, reply
from server.errors import (
    BadRequest,
    InvalidAdminToken,
    InvalidApiKey,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Refusal,
    RequestTimeout,
    TooManyFaults,
    Unavailable,
    Unreadable,
)
from server.gateway.room import SMALL_REQUEST_BYTES
from server.http import StrictHttp
from server.identity.faults import weight_of
from server.providers.wire import WIRES, ProtocolName
from server.replies import Reply

log = logging.getLogger(__name__)


def answer_error(request: Request, error: Exception) -> HTTPResponse:
    """The reply to a request that is refused, or at which we failed."""
    if request.route is None and cors.is_preflight(request):
        return Reply(status=204, headers=cors.preflight_headers(request))
    refusal = error if isinstance(error, Refusal) else _refusal_of_sanic(request, error)
    if refusal is None:
        log.error("%s Internal Server Error", request.id, exc_info=error)
        return reply({"error": "Internal Server Error"}, 500)
    refusal = _counted(request, refusal)
    metrics.request_refused(refusal.label, refusal.status)
    if isinstance(refusal, Unreadable):
        log.error("%s What Redis has is not readable: %s", request.id, refusal.reason)
    if isinstance(request.stream, Http):
        request.stream.expecting_continue = False  # what it waits to send is not wanted
    refusal.headers["request-id"] = str(request.id)  # where Anthropic's SDK looks for it
    if refusal.is_final:
        refusal.headers["x-should-retry"] = "false"
    speaks = _speaks(request, refusal)
    if speaks is None:
        return reply({"error": refusal.message, **refusal.extra}, refusal.status, refusal.headers)
    return reply(WIRES[speaks].error(refusal), refusal.status, refusal.headers)


def _speaks(request: Request, refusal: Refusal) -> ProtocolName | None:
    """Whose shape the body has; None for our own."""
    if request.route is None and refusal.status in (404, 405):
        return unserved.explain(request, refusal)
    speaks: ProtocolName | None = getattr(request.route and request.route.ctx, "speaks", None)
    if speaks is None or refusal.is_native:
        return None
    if request.method in ("GET", "HEAD") and "anthropic-version" in request.headers:
        return "anthropic"  # the list of models, which both SDKs ask for at the same address
    return speaks


def _counted(request: Request, refusal: Refusal) -> Refusal:
    """What is answered: after many refusals of a key each is counted, of an address 429 instead.

    A key that is known is refused before its next body is read (Request.who). Who has none is told
    so by address: others there, whose keys are valid, do not notice.
    """
    faults, who = request.services.faults, request.user
    if who is not None and isinstance(request.stream, StrictHttp):
        size = request.stream.read_bytes
        if refusal.status in _FAULTS or (size > SMALL_REQUEST_BYTES and refusal.status < 500):
            faults.count(who.api_key, weight_of(size))
    if isinstance(refusal, InvalidApiKey) and not isinstance(refusal, InvalidAdminToken):
        client = client_network(request, request.services.settings)
        if client is not None:
            if wait_ms := faults.wait_ms(str(client)):
                return TooManyFaults(wait_ms)
            faults.count(str(client), 1)
    return refusal


_FAULTS = (400, 403, 404, 413, 422)
"""The others are the script's, and cost less than a request that is served, unless there was a
body to parse that is not small."""

_OF_SANIC: dict[int, type[Refusal]] = {
    400: BadRequest,
    404: NotFound,
    405: MethodNotAllowed,
    408: RequestTimeout,
    413: PayloadTooLarge,
    414: BadRequest,
    417: BadRequest,
    503: Unavailable,
}


def _refusal_of_sanic(request: Request, error: Exception) -> Refusal | None:
    """The contract's answer to what Sanic refuses by itself; None if it is no refusal."""
    if not isinstance(error, SanicException):
        return None
    refused = _OF_SANIC.get(error.status_code)
    if refused is None:
        return None
    if refused is PayloadTooLarge and "header" in str(error):
        return BadRequest()
    if refused is MethodNotAllowed:
        return MethodNotAllowed(headers={"allow": allowed_methods(request)})
    return refused()
