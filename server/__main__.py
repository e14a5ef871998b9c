"""The command line: `python -m server`, also installed as `vibe-server`."""

import argparse
import asyncio
import logging
import os
import secrets
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from server import embedded, logs
from server.errors import Unavailable
from server.settings import Settings, SettingsError
from server.store import Store
from server.supervisor import Shutdown, Supervisor

log = logging.getLogger("server")


class _CannotStart(Exception):
    """The message is the one line that the operator sees; the exit status is 1."""


def main() -> int:
    """Runs the command; the exit status."""
    arguments = _parse_arguments()
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        logs.configure("info", "text")
        log.error("%s", error)
        return 2
    logs.configure(settings.log_level, settings.log_format)
    try:
        if arguments.command == "purge":
            from server.purge import purge

            return asyncio.run(purge(_store(settings), arguments.tenant))
        if arguments.command == "audit":
            from server.audit import Audit

            return asyncio.run(Audit(_store(settings), arguments.tenant).run())
        _serve(settings, arguments)
    except (_CannotStart, embedded.EmbeddedError) as error:
        log.error("%s", error)
        return 1
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "vibe-server", description="Without a command: serve. Settings come from the environment."
    )
    parser.set_defaults(command="serve")
    parser.add_argument(
        "--embedded", action="store_true", help="start the bundled Valkey and use it"
    )
    parser.add_argument(
        "--data", type=Path, default=Path("data"), help="its directory (default: ./data)"
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    purge = commands.add_parser("purge", help="remove what a deleted tenant left in Redis")
    purge.add_argument("--tenant", required=True)
    audit = commands.add_parser("audit", help="check every user's balance against its ledger")
    audit.add_argument("--tenant")
    arguments = parser.parse_args()
    arguments.command = arguments.command or "serve"
    return arguments


def _serve(settings: Settings, arguments: argparse.Namespace) -> None:
    shutdown = Shutdown()
    with ExitStack() as stack:
        if arguments.embedded:
            url = stack.enter_context(embedded.running(arguments.data, lambda: shutdown.requested))
            settings = _for_embedded(settings, url)
        if shutdown.requested:
            log.info("Server shutting down")
            return
        store = _store(settings)
        try:
            asyncio.run(store.check())
        except Unavailable as error:
            raise _CannotStart(f"Redis connection failed: {error.reason}") from None
        except ValueError as error:
            raise _CannotStart(str(error)) from None
        listener = stack.enter_context(_listen(settings))
        # Only now, so that a wrong address of Redis is answered without waiting for the rest;
        # and here, so that a worker that replaces another has it in memory already.
        from server.run import run_worker

        host, port = listener.getsockname()[:2]
        log.info("Listening on http://%s:%s", f"[{host}]" if ":" in host else host, port)
        Supervisor(
            lambda listener, parent: run_worker(settings, listener, parent),
            listener,
            settings.workers,
            settings.drain_seconds + settings.grace_seconds,
            shutdown,
        ).run()


def _for_embedded(settings: Settings, url: str) -> Settings:
    """Its Redis, an admin token for this start, a worker per core unless they are set."""
    changes: dict[str, object] = {"redis_url": url}
    if not settings.admin_token:
        changes["admin_token"] = secrets.token_urlsafe(24)
        print(f"Admin token for this start: {changes['admin_token']}", flush=True)
    if "workers" not in settings.model_fields_set:
        changes["workers"] = os.cpu_count() or 1
    return settings.model_copy(update=changes)


def _store(settings: Settings) -> Store:
    try:
        return Store(settings.redis_url, settings.redis_timeout)
    except ValueError as error:
        raise _CannotStart(f"Redis connection failed: {error}") from None


def _listen(settings: Settings) -> socket.socket:
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        # localhost is IPv4 for whoever connects to 127.0.0.1, and a browser tries both.
        family, _, _, _, address = sorted(found, key=lambda item: item[0] != socket.AF_INET)[0]
        listener = socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise _CannotStart(f"Cannot listen on {where}: {error.strerror}") from None
    listener.setblocking(False)
    return listener


if __name__ == "__main__":
    sys.exit(main())
