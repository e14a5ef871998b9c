"""Load by locust, `make load`: prints a table, writes an HTML report, and checks the sums.

    python -m tests.load                                   # a server of its own, and a double
    python -m tests.load --url URL --tenant T [--chats]    # a deployed one, T as it is configured
    python -m tests.load --url URL --admin-token TOKEN     # a tenant of its own there, then deleted
                         [--provider URL]                  # and a double that the server can reach

A tenant whose chats are metered must have endpoints of weight 1. Where logins are limited
(ANONYMOUS_LOGINS_PER_MINUTE), and it all comes from one address, users wait. Exit status 1 if a
reply was 5xx, or not foreseen at all, or if what a user was told is not what its ledger says.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx

from tests.api import config
from tests.doubles import Answer, Double
from tests.endpoints import endpoint, text_config
from tests.faults.checks import audit
from tests.processes import ADMIN_TOKEN, ROOT, Server, Valkey

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
GROUP = {"tokens": 300, "rate_limit": 10_000, "rate_limit_window": 60}
ANSWER = Answer(pieces=["word "] * 30, pause=0.02)
FINISH_SECONDS = 60
"""What a user may take to end what it does when the time is up."""


def main() -> int:
    arguments = _arguments()
    # As an exception, so that all that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if not arguments.url:
        return _load_own_server(arguments)
    if arguments.tenant:
        return _run_locust(arguments, arguments.url, arguments.tenant, arguments.chats)
    with _tenant(arguments.url, arguments.admin_token, arguments.provider) as tenant_id:
        return _run_locust(arguments, arguments.url, tenant_id, bool(arguments.provider))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2, help="of a server of its own")
    parser.add_argument("--html", type=Path, default=ROOT / "build" / "load.html")
    parser.add_argument("--url")
    parser.add_argument("--tenant")
    parser.add_argument("--chats", action="store_true")
    parser.add_argument("--admin-token", default=os.environ.get("ADMIN_TOKEN"))
    parser.add_argument("--provider")
    arguments = parser.parse_args()
    if arguments.url and not (arguments.tenant or arguments.admin_token):
        parser.error("--url needs --tenant, or --admin-token (or ADMIN_TOKEN)")
    return arguments


def _load_own_server(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            Valkey(folder / "valkey", appendonly="yes") as valkey,
            Double(ANSWER) as double,
            Server(
                folder / "out",
                REDIS_URL=valkey.url,
                WORKERS=str(arguments.workers),
                ALLOW_PRIVATE_UPSTREAMS="1",
            ) as server,
            _tenant(server.url, ADMIN_TOKEN, double.url) as tenant_id,
        ):
            status = _run_locust(arguments, server.url, tenant_id, chats=True)
            audit(valkey.url, tenant_id)
        return status


@contextmanager
def _tenant(url: str, admin_token: str, provider: str | None) -> Iterator[str]:
    """A new tenant there, whose chats, if any, go to that double."""
    tenant_id = f"load-{uuid4().hex[:12]}"
    value = config(anonymous=GROUP)
    if provider:
        protocols = ("openai", "anthropic")
        endpoints = {protocol: endpoint(provider, protocol) for protocol in protocols}
        value = text_config(endpoints, anonymous=GROUP)
    headers = {"Authorization": f"Bearer {admin_token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        made = client.post("/tenants", json={"tenantId": tenant_id, "config": value})
        if made.status_code != 201:
            sys.exit(f"No tenant could be made: {made.status_code} {made.text}")
        try:
            yield tenant_id
        finally:
            client.delete(f"/tenants/{tenant_id}")


def _run_locust(arguments: argparse.Namespace, url: str, tenant_id: str, chats: bool) -> int:
    """In a process of its own: locust replaces what blocks in all of a process."""
    arguments.html.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary"]
    command += ["-f", str(LOCUSTFILE), "--host", url, "--tenant", tenant_id]
    command += ["-u", str(arguments.users), "-r", str(max(arguments.users / 5, 1))]
    command += ["-t", f"{arguments.seconds}s", "--stop-timeout", str(FINISH_SECONDS)]
    command += ["--html", str(arguments.html), *(["--chats"] if chats else [])]
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    print(f"The report is in {os.path.relpath(arguments.html)}", flush=True)
    return 1 if status else 0


if __name__ == "__main__":
    sys.exit(main())
