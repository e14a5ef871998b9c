"""create_app: the only wiring. One screen shows every route and the order of what surrounds it."""

import asyncio
import logging
import os
import re
import sys
from dataclasses import dataclass
from itertools import count
from typing import Any

from sanic import Blueprint, HTTPResponse, Sanic
from sanic.blueprint_group import BlueprintGroup
from sanic.exceptions import SanicException
from sanic.http import Http

from server import cors, metrics, startup
from server.accounts import Accounts
from server.blueprints import admin, auth, docs, gateway, health, metering
from server.blueprints import metrics as metrics_routes
from server.blueprints.request import BODY_BYTES, Request, load_tenant, reply
from server.errors import (
    BadRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Refusal,
    RequestTimeout,
    Unavailable,
)
from server.holding import Holding
from server.http import Reply, StrictProtocol
from server.large_bodies import LargeBodies
from server.meter import Meter
from server.providers.wire import WIRES, Name
from server.services import Services
from server.settings import Settings
from server.store import Store
from server.tenants import Tenants
from server.upstream import Upstream
from server.users import Users

log = logging.getLogger(__name__)

# Made once, with its middleware: given to it again for each app, it would run once more for each.
OF_TENANT = Blueprint.group(
    auth.blueprint,
    metering.blueprint,
    gateway.blueprint,
    admin.of_tenant,
    url_prefix="/<tenant_id>",
)
OF_TENANT.middleware(load_tenant, "request", priority=1)

_serial = count(1)
_IN_WORKER = "SANIC_WORKER_NAME"


@dataclass(frozen=True, slots=True)
class Deps:
    """What an app is made of; the caller has opened nothing, the app opens the store."""

    settings: Settings
    store: Store


class _App(Sanic[Any, Services]):
    """Strict also where Sanic serves it by itself, by `run` or its own command."""

    def prepare(self, *args: Any, **kwargs: Any) -> None:
        super().prepare(*args, **{"protocol": StrictProtocol, **kwargs})

    async def _startup(self) -> None:
        # Sanic rewrites methods of its classes for speed, and fails to do so twice in a process.
        if getattr(Http, "__touched__", False):
            self.config.TOUCHUP = False
        await super()._startup()


def create_app(deps: Deps) -> Sanic[Any, Services]:
    """The Sanic app. It connects the store before it listens and closes it after it stopped."""
    settings, store = deps.settings, deps.store
    meter = Meter(store, settings.ledger_entries)
    services = Services(
        settings=settings,
        meter=meter,
        accounts=Accounts(store, settings.ledger_entries),
        holding=Holding(meter),
        large_bodies=LargeBodies(gateway.LARGE_BODIES_BYTES),
        upstream=Upstream(settings.allow_private_upstreams),
        users=Users(store, settings.user_ttl_days, settings.ledger_entries),
        tenants=Tenants(store, settings.allow_private_upstreams),
        ping_redis=store.ping,
    )
    app = _bare_app(services)
    _complete(
        app, health.blueprint, metrics_routes.public, docs.blueprint, admin.tenants, OF_TENANT
    )

    @app.before_server_start
    async def open_store(_: Any) -> None:
        metrics.worker_serves()
        await store.start()
        await services.upstream.start()
        try:
            await services.tenants.store_first()
        except Unavailable as error:
            # A worker that replaces another while Redis is away must still come up.
            log.warning("Could not look for the first tenant: %s", error.reason)

    @app.after_server_stop
    async def close_store(_: Any) -> None:
        await services.holding.finish(services.stop_by)
        await services.upstream.close()
        await store.close()

    return app


def create_metrics_app(services: Services) -> Sanic[Any, Services]:
    """What METRICS_PORT serves, beside the app that `services` are of."""
    app = _bare_app(services)
    _complete(app, metrics_routes.own_port)
    return app


def _bare_app(services: Services) -> Sanic[Any, Services]:
    # Sanic refuses two apps of one name in a process.
    app = _App(
        f"vibe-server-{next(_serial)}",
        ctx=services,
        request_class=Request,
        configure_logging=False,
    )
    app.config.update(
        {
            "ACCESS_LOG": False,
            "AUTO_EXTEND": False,
            "KEEP_ALIVE_TIMEOUT": 75,
            "MOTD": False,
            "REQUEST_MAX_SIZE": BODY_BYTES,
            "PROXIES_COUNT": services.settings.proxies_count or None,
            "FORWARDED_SECRET": services.settings.forwarded_secret or None,
        }
    )
    return app


def _complete(app: Sanic[Any, Services], *blueprints: Blueprint | BlueprintGroup) -> None:
    """Adds the routes, and what is needed around them."""
    for blueprint in blueprints:
        app.blueprint(blueprint)
    for route in app.router.routes:
        # As in the API's documentation: POST /{tenantId}/charges
        path = re.sub(r"<(.+?)(?::.*?)?>", _parameter, route.path)
        route.ctx.label = f"{'/'.join(sorted(route.methods))} /{path}"
    _add_preflights(app)
    app.error_handler.add(Exception, _refuse)


def _parameter(found: re.Match[str]) -> str:
    first, *rest = found[1].split("_")
    return "{" + first + "".join(word.title() for word in rest) + "}"


def from_environment() -> Sanic[Any, Services]:
    """For those who run Sanic their own way: `sanic server.app:from_environment --factory`.

    Ends the process with one line, status 1 or 2, where `python -m server` would.
    """
    try:
        settings = startup.read_settings()
        store = startup.make_store(settings)
        # Sanic calls a factory in its main process, before it listens, and again in each worker.
        if _IN_WORKER not in os.environ:
            asyncio.run(startup.check_redis(store))
    except startup.CannotStart as error:
        log.error("%s", error)
        sys.exit(error.status)
    if settings.metrics_port:
        settings = settings.model_copy(update={"metrics_port": 0})
        if _IN_WORKER not in os.environ:
            log.warning("METRICS_PORT is for `python -m server`: /metrics stays on the public port")
    app = create_app(Deps(settings, store))
    app.config.GRACEFUL_SHUTDOWN_TIMEOUT = settings.grace_seconds

    @app.before_server_stop
    async def stop(_: Any) -> None:
        if _IN_WORKER not in os.environ:  # --single-process
            log.info("Server shutting down")
        app.ctx.draining = True
        app.ctx.stop_by = asyncio.get_running_loop().time() + settings.grace_seconds

    @app.main_process_stop
    async def stopped(_: Any) -> None:
        log.info("Server shutting down")

    return app


async def _preflight(request: Request, **_: str) -> HTTPResponse:
    """The methods of the route, and to a CORS preflight the headers that it may use."""
    route = request.route
    assert route is not None
    if route.path.startswith("<tenant_id"):
        await load_tenant(request)
    methods = _allowed_methods(request)
    headers = {"allow": methods}
    if "access-control-request-method" in request.headers:
        headers.update(cors.preflight_headers(request, methods))
    return Reply(status=204, headers=headers)


def _allowed_methods(request: Request) -> str:
    """Of a path that exists: each has its route for OPTIONS."""
    route, _, _ = request.app.router.get(request.path, "OPTIONS", None)
    return ", ".join(route.ctx.methods)


def _add_preflights(app: Sanic[Any, Services]) -> None:
    methods: dict[str, set[str]] = {}
    for route in app.router.routes:
        methods.setdefault(route.path, set()).update(route.methods)
    for number, (path, names) in enumerate(methods.items()):
        app.add_route(
            _preflight,
            f"/{path}",
            ["OPTIONS"],
            name=f"preflight{number}",
            ctx_methods=tuple(sorted({*names, "OPTIONS"})),
            ctx_label="OPTIONS",
        )


def _refuse(request: Request, error: Exception) -> HTTPResponse:
    """The one error handler."""
    refusal = error if isinstance(error, Refusal) else _refusal_of_sanic(request, error)
    if refusal is None:
        log.error("%s Internal Server Error", request.id, exc_info=error)
        return reply({"error": "Internal Server Error"}, 500)
    metrics.refused(refusal, refusal.status)
    if isinstance(request.stream, Http):
        request.stream.expecting_continue = False  # what it waits to send is not wanted
    speaks: Name | None = getattr(request.route.ctx, "speaks", None) if request.route else None
    if speaks is None or refusal.is_native:
        return reply({"error": refusal.message, **refusal.extra}, refusal.status, refusal.headers)
    if request.method == "GET" and "anthropic-version" in request.headers:
        speaks = "anthropic"  # the list of models, which both SDKs ask for at the same address
    refusal.headers["request-id"] = str(request.id)
    if refusal.is_final:
        refusal.headers["x-should-retry"] = "false"
    return reply(WIRES[speaks].error(refusal), refusal.status, refusal.headers)


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
        return MethodNotAllowed(headers={"allow": _allowed_methods(request)})
    return refused()
