"""create_app: the only wiring. It shows every blueprint, and what surrounds a request."""

import asyncio
import logging
import os
import sys
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sanic import Blueprint, Sanic
from sanic.blueprint_group import BlueprintGroup
from sanic.http import Http

from server import metrics, startup
from server.billing.account import StripeAccounts
from server.billing.billing import Billing
from server.billing.payments import Payments
from server.blueprints import (
    accounts,
    admin,
    apple_notices,
    auth,
    billing,
    callback,
    calls,
    client_module,
    client_secrets,
    docs,
    exchange,
    health,
    keys,
    me,
    metering,
    of_sdks,
    realtime,
    sign_in,
    start,
    stripe_events,
    tenants,
)
from server.blueprints import metrics as metrics_routes
from server.blueprints.body import OF_OTHERS
from server.blueprints.labels import label_routes
from server.blueprints.preflight import HeadRouter, add_preflights
from server.blueprints.refusal import answer_error
from server.blueprints.request import Request, load_tenant
from server.errors import ServiceUnavailable
from server.gateway.room import (
    REPLIES_BYTES,
    REQUESTS_BYTES,
    SMALL_REPLY_BYTES,
    SMALL_REQUEST_BYTES,
    Room,
)
from server.identity.apple_notices import AppleNotices
from server.identity.challenges import Challenges
from server.identity.client_secrets import ClientSecrets
from server.identity.deletion import Deletion
from server.identity.faults import FaultRates
from server.identity.ladder import Ladder
from server.identity.logins import LoginLimits
from server.identity.redirects import Redirects
from server.identity.reserve import Reserve
from server.identity.restricted import RestrictedKeys
from server.identity.sessions import Sessions
from server.identity.users import Users
from server.identity.wrong_tokens import WrongTokens
from server.login_providers.login_providers import LoginProviders
from server.metering.accounts import Accounts
from server.metering.holding import Holding
from server.metering.kept_responses import KeptResponses
from server.metering.leases import Leases
from server.metering.meter import Meter
from server.metering.renewal import Renewal
from server.places import Places
from server.protocol import StrictProtocol
from server.services import Services
from server.settings import Settings
from server.store.store import Store
from server.tenants.tenants import Tenants
from server.timed.calls import Calls
from server.timed.following import Following
from server.timed.ultravox import Ultravox
from server.timeouts import Timeouts
from server.upstream.client import Upstream
from server.upstream.names import Names
from server.voice.sessions import VoiceSessions

log = logging.getLogger(__name__)

# Once, not in create_app: each app would add the middleware to the same blueprints again, and a
# request would run it once for each app that was made.
OF_TENANT = Blueprint.group(
    auth.blueprint,
    sign_in.blueprint,
    apple_notices.blueprint,
    me.blueprint,
    start.blueprint,
    callback.blueprint,
    exchange.blueprint,
    keys.blueprint,
    accounts.blueprint,
    billing.blueprint,
    stripe_events.blueprint,
    metering.blueprint,
    *of_sdks.BLUEPRINTS,
    realtime.blueprint,
    client_secrets.blueprint,
    calls.blueprint,
    admin.blueprint,
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
    timeouts: Timeouts = field(default_factory=Timeouts)


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
    settings, store, timeouts = deps.settings, deps.store, deps.timeouts
    ledger_size = settings.ledger_entries
    renewal = Renewal(store, ledger_size, settings.user_ttl_ms)
    meter, leases = Meter(store, ledger_size, renewal), Leases(store)
    users = Users(store, settings.user_ttl_ms, ledger_size)
    sessions = Sessions(store, settings.user_ttl_ms, ledger_size)
    names, deletion = Names(), Deletion(store, ledger_size)
    upstream = Upstream(names, settings.allow_private_upstreams, timeouts)
    stripe = StripeAccounts(upstream, settings.stripe_url, timeouts.stripe)
    tenants_, holding = Tenants(store, names, settings.allow_private_upstreams), Holding(timeouts)
    reply_room = Room(REPLIES_BYTES, SMALL_REPLY_BYTES)
    timed = {"ultravox": Ultravox(upstream, reply_room.portion)}
    following = Following(store, tenants_, meter, leases, holding, timed, ledger_size)
    services = Services(
        settings=settings,
        meter=meter,
        accounts=Accounts(store, ledger_size, settings.user_ttl_ms, renewal),
        leases=leases,
        kept_responses=KeptResponses(store),
        holding=holding,
        request_room=Room(REQUESTS_BYTES, SMALL_REQUEST_BYTES),
        reply_room=reply_room,
        places=Places(),
        calls=Calls(store, following, holding, timed, settings.public_url),
        upstream=upstream,
        voice=VoiceSessions(settings.realtime_sessions, holding),
        reserve=Reserve(store, settings.logins_memory_share),
        login_limits=LoginLimits(
            store,
            settings.anonymous_logins_per_minute,
            settings.anonymous_logins_per_hour,
            settings.logins_per_minute,
        ),
        challenges=Challenges(upstream, settings),
        login_providers=LoginProviders(upstream, settings, timeouts.login_provider),
        users=users,
        ladder=Ladder(store, users, deletion, ledger_size),
        sessions=sessions,
        deletion=deletion,
        apple_notices=AppleNotices(store, sessions, deletion, ledger_size),
        redirects=Redirects(store),
        restricted_keys=RestrictedKeys(store, ledger_size),
        client_secrets=ClientSecrets(store, ledger_size),
        wrong_tokens=WrongTokens(timeouts.wrong_tokens),
        faults=FaultRates(),
        tenants=tenants_,
        billing=Billing(Payments(store, ledger_size), stripe, meter),
        ping_redis=store.ping,
        is_alive=store.is_alive,
        timeouts=timeouts,
    )
    app = _bare_app(services)
    of_server = health.blueprint, metrics_routes.public, docs.blueprint, client_module.blueprint
    _complete(app, *of_server, OF_TENANT, tenants.blueprint)

    @app.before_server_start
    async def start_services(_: Any) -> None:
        metrics.worker_serves()
        await store.start()
        services.reserve.start()
        await services.upstream.start()
        following.start()
        try:
            await services.tenants.store_first()
        except ServiceUnavailable as error:
            # A worker that replaces another while Redis is away must still come up.
            log.warning("Could not look for the first tenant: %s", error.reason)

    @app.after_server_stop
    async def stop_services(_: Any) -> None:
        services.wrong_tokens.tell()
        await services.holding.finish(services.stop_by)
        await following.close()
        await services.leases.finish()
        await renewal.close()
        await services.upstream.close()
        await services.reserve.close()
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
        router=HeadRouter(),
        request_class=Request,
        configure_logging=False,
    )
    app.config.update(
        {
            "ACCESS_LOG": False,
            "AUTO_EXTEND": False,
            "KEEP_ALIVE_TIMEOUT": services.timeouts.keep_alive,
            "MOTD": False,
            "REQUEST_MAX_SIZE": OF_OTHERS.size,
            "PROXIES_COUNT": services.settings.proxies_count or None,
            "FORWARDED_SECRET": services.settings.forwarded_secret or None,
        }
    )
    return app


def _complete(app: Sanic[Any, Services], *blueprints: Blueprint | BlueprintGroup) -> None:
    """Adds the routes, documented in this order, and what is needed around them."""
    for blueprint in blueprints:
        app.blueprint(blueprint)
    label_routes(app)
    add_preflights(app)
    app.error_handler.add(Exception, answer_error)


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
            startup.warn_of_admin_token(settings)
            startup.warn_of_redis(store)
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
        app.ctx.drain(0)
        app.ctx.voice.end()

    @app.main_process_stop
    async def stopped(_: Any) -> None:
        log.info("Server shutting down")

    return app
