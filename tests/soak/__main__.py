"""`python -m tests.soak [--minutes 20]`: mixed load on a server whose memory is watched.

Exit status 1 if a process' memory or descriptors grow after the warm-up (see `verdict`), if it
keeps descriptors open afterwards, if a reply was not as expected, or if the audit finds something.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp
import httpx

from tests.api import Api
from tests.doubles import Double
from tests.faults.checks import audit
from tests.processes import Server, Valkey
from tests.soak import answers
from tests.soak.client import Client
from tests.soak.verdict import faults_of, left_open
from tests.soak.watch import Sample, Watch

SAMPLE_SECONDS = 5
ROWS = 20
QUIET_SECONDS = 90
"""After the load; the gateway keeps idle connections to providers for 30 s, up to 60."""
LOGINS_EVERY = 150
"""Acts of a client on average, before it logs in anew."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=30)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between a client's acts")
    arguments = parser.parse_args()
    # As an exception, so that all that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        return _soak(Path(folder), arguments)


def _soak(folder: Path, arguments: argparse.Namespace) -> int:
    workers = str(arguments.workers)
    with (
        Valkey(folder / "valkey", appendonly="yes") as valkey,
        Server(
            folder / "server.out",
            REDIS_URL=valkey.url,
            WORKERS=workers,
            ALLOW_PRIVATE_UPSTREAMS="1",
        ) as server,
        Double() as double,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        answers.script(double)
        tenant_id = Api.new_tenant(client, answers.config(double)).tenant_id
        pids = server.worker_pids()
        processes = {"parent": server.pid}
        processes |= {f"worker {number}": pid for number, pid in enumerate(pids, 1)}
        watch = Watch(processes, lambda: int(valkey.client.info("memory")["used_memory"]))
        before = watch.take()
        watch.print_head()
        seen: Counter[str] = Counter()
        unexpected: list[str] = []
        base = f"{server.url}/{tenant_id}"
        asyncio.run(_load(base, arguments, watch, seen, unexpected))
        _print_requests(seen, arguments.minutes * 60)
        faults = faults_of(watch.samples, seen.total())
        faults += _until_closed(watch, before)
        faults += [f"{n} x {text}" for text, n in Counter(unexpected).most_common(20)]
        if server.worker_pids() != pids:
            faults.append("a worker was replaced")
        audit(valkey.url, tenant_id)
    faults += [line for line in server.text().splitlines() if "[ERROR]" in line][:20]
    print("\n".join(f"soak: FAULT: {fault}" for fault in faults) or "soak: nothing grows")
    return 1 if faults else 0


async def _load(
    base: str,
    arguments: argparse.Namespace,
    watch: Watch,
    seen: Counter[str],
    unexpected: list[str],
) -> None:
    """The clients, while samples are taken."""
    duration = arguments.minutes * 60
    timeout = aiohttp.ClientTimeout(total=30)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        clients = [
            Client(session, base, seed, seen, unexpected) for seed in range(arguments.clients)
        ]
        tasks = [
            asyncio.create_task(client.run(arguments.pause, LOGINS_EVERY)) for client in clients
        ]
        began = time.monotonic()
        samples = int(duration / SAMPLE_SECONDS)
        for number in range(1, samples + 1):
            await asyncio.sleep(began + number * SAMPLE_SECONDS - time.monotonic())
            await asyncio.to_thread(watch.take)
            if number % max(samples // ROWS, 1) == 0:
                watch.print_last()
            for task in tasks:
                if task.done():
                    task.result()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _print_requests(seen: Counter[str], duration: float) -> None:
    print(f"\n{seen.total():,} requests, {seen.total() / duration:.0f} a second:")
    for name, count in sorted(seen.items()):
        print(f"  {name:28}{count:9,}")


def _until_closed(watch: Watch, before: Sample) -> list[str]:
    """Waits until the descriptors are as before the load; what is still open after a while."""
    deadline = time.monotonic() + QUIET_SECONDS
    while (left := left_open(before, watch.take())) and time.monotonic() < deadline:
        time.sleep(1)
    print("After the load:")
    watch.print_last()
    return left


if __name__ == "__main__":
    sys.exit(main())
