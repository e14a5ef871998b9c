"""What the command line does: serve, purge, audit, reconcile."""

import argparse
import asyncio
import gc
import logging
import os
import secrets
import socket
from collections.abc import Coroutine
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from server import logs
from server.errors import ServiceUnavailable
from server.process.descriptors import raise_limit
from server.process.embedded import Embedded, EmbeddedError, running
from server.process.shutdown import Shutdown
from server.process.supervisor import Supervisor
from server.settings import Settings
from server.startup import (
    CannotStart,
    check_redis,
    make_store,
    read_settings,
    warn_of_admin_token,
    warn_of_redis,
)
from server.store.store import Store
from server.timeouts import Timeouts

log = logging.getLogger(__name__)

RECONCILED_DAYS = 35
"""More than Stripe lists events for."""


def run(shutdown: Shutdown) -> int:
    """The exit status."""
    arguments = _parse_arguments()
    if arguments.command != "serve":
        # Each may be stopped anywhere and repeated.
        shutdown.forget()
    try:
        settings = read_settings()
        with ExitStack() as stack:
            embedded, url = None, None
            if arguments.embedded and arguments.command != "serve":
                url = running(arguments.data)  # a server's, beside which this one works
            if arguments.embedded and not url:
                embedded = stack.enter_context(Embedded(arguments.data, shutdown))
                url = embedded.url
            settings = settings.model_copy(update={"redis_url": url} if url else {})
            if arguments.command == "serve":
                return _serve(settings, embedded, shutdown)
            return asyncio.run(_maintain(arguments, make_store(settings), settings))
    except CannotStart as error:
        log.error("%s", error)
        return error.status
    except EmbeddedError as error:
        log.error("%s", error)
        return 1
    except ServiceUnavailable as error:
        log.error("Redis unavailable: %s", error.reason)
        return 1
    except Exception as error:
        log.error("Unexpected", exc_info=error)
        return 1
    finally:
        shutdown.done()


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "vibe-server", description="Without a command: serve. Settings come from the environment."
    )
    parser.set_defaults(command="serve")
    parser.add_argument(
        "--embedded",
        action="store_true",
        help="start the bundled Valkey and use it; commands use that of a server that runs",
    )
    parser.add_argument(
        "--data", type=Path, default=Path("data"), help="its directory (default: ./data)"
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    purge = commands.add_parser(
        "purge", help="remove what a deleted tenant, or users being deleted, left in Redis"
    )
    purge.add_argument("--tenant")
    purge.add_argument(
        "--closing", action="store_true", help="only users whose deletion was interrupted"
    )
    audit = commands.add_parser("audit", help="check every user's balance against its ledger")
    audit.add_argument("--tenant")
    reconcile = commands.add_parser(
        "reconcile", help="ask Stripe for what was bought lately, and mend what users have of it"
    )
    reconcile.add_argument("--tenant", required=True)
    reconcile.add_argument(
        "--since", type=_date, default=None, help="YYYY-MM-DD, UTC (default: 35 days ago)"
    )
    reconcile.add_argument(
        "--undelivered",
        action="store_true",
        help="only of those whose events Stripe could not deliver",
    )
    reconcile.add_argument("--dry-run", action="store_true", help="tell, and mend nothing")
    arguments = parser.parse_args()
    arguments.command = arguments.command or "serve"
    if arguments.command == "purge" and not (arguments.tenant or arguments.closing):
        purge.error("the following arguments are required: --tenant")
    return arguments


def _date(text: str) -> datetime:
    """Its begin. Raises ValueError."""
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)


async def _maintain(arguments: argparse.Namespace, store: Store, settings: Settings) -> int:
    gc.enable()
    await check_redis(store)
    if arguments.command == "purge" and arguments.closing:
        from server.identity.interrupted import purge_closing

        return await purge_closing(store, arguments.tenant, settings.ledger_entries)
    if arguments.command == "purge":
        from server.tenants.purge import purge

        return await purge(store, arguments.tenant)
    if arguments.command == "reconcile":
        from server.billing.reconcile import Wanted, reconcile

        since = arguments.since or datetime.now(UTC) - timedelta(days=RECONCILED_DAYS)
        how = arguments.dry_run, arguments.undelivered
        wanted = Wanted(arguments.tenant, int(since.timestamp()), *how)
        return await reconcile(store, settings, wanted)
    from server.metering.audit import Audit

    return await Audit(store, arguments.tenant).run()


def _serve(settings: Settings, embedded: Embedded | None, shutdown: Shutdown) -> int:
    raise_limit()
    if embedded:
        settings = _for_embedded(settings)
    store = make_store(settings)
    if not shutdown.requested and asyncio.run(_finishes(check_redis(store), shutdown)):
        with ExitStack() as stack:
            listeners = [stack.enter_context(_listen(settings.host, settings.port))]
            if settings.metrics_port:
                listeners.append(stack.enter_context(_listen(settings.host, settings.metrics_port)))
            warn_of_redis(store)
            _supervise(settings, listeners, embedded, shutdown)
    else:
        log.info("Server shutting down")
    return 0


async def _finishes(work: Coroutine[Any, Any, None], shutdown: Shutdown) -> bool:
    """Runs `work`; False if a shutdown was requested before it was done."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    loop.add_reader(shutdown.descriptor, task.cancel)
    await asyncio.wait([task])
    loop.remove_reader(shutdown.descriptor)
    if task.cancelled():
        return False
    task.result()
    return True


def _supervise(
    settings: Settings,
    listeners: list[socket.socket],
    embedded: Embedded | None,
    shutdown: Shutdown,
) -> None:
    """`listeners`: the public one, and that of METRICS_PORT if there is one."""
    # Imported after Redis was asked, so that one that is not there is told of without waiting for
    # the rest; and before the fork, so that a worker that replaces another need not import it.
    from server.metrics.shared import Shared, this_worker
    from server.process.worker import run_worker

    # Frozen, what is imported is not looked at again, neither here nor by the workers.
    gc.freeze()
    gc.enable()
    warn_of_admin_token(settings)
    log.info("Listening on http://%s", _address(listeners[0]))
    if len(listeners) > 1:
        log.info("Metrics at http://%s/metrics", _address(listeners[1]))
    shared = Shared(settings.workers)

    def work(slot: int, parent: int) -> None:
        this_worker.join(shared, slot)
        run_worker(settings, listeners[0], parent, *listeners[1:])

    Supervisor(
        work,
        listeners,
        settings.workers,
        settings.drain_seconds + settings.grace_seconds + Timeouts().kill,
        shutdown,
        shared.died,
        embedded.revive if embedded else None,
    ).run()


def _for_embedded(settings: Settings) -> Settings:
    """An admin token for this start, and a worker per core, unless they are set."""
    changes: dict[str, object] = {}
    if not settings.admin_token:
        changes["admin_token"] = secrets.token_urlsafe(24)
        logs.announce(f"Admin token for this start: {changes['admin_token']}")
    if "workers" not in settings.model_fields_set:
        changes["workers"] = _cores()
    return settings.model_copy(update=changes)


def _cores() -> int:
    """Those that we may use, which in a container can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # localhost is IPv4 for whoever connects to 127.0.0.1, and a browser tries both.
        family, _, _, _, address = sorted(found, key=lambda item: item[0] != socket.AF_INET)[0]
        listener = socket.create_server(address[:2], family=family, backlog=1024)
    except UnicodeError:
        raise CannotStart("HOST: is not a host name", 2) from None
    except OSError as error:
        raise CannotStart(f"Cannot listen on {host}:{port}: {error.strerror}") from None
    listener.setblocking(False)
    return listener
