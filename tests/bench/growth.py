"""Whether a charge costs more the more users Redis holds.

On the machine's own Redis or Valkey if it has one, as those who have a million users would: the
bundled Valkey uses the malloc of libc, which gets slower in a large heap, whoever it serves.
"""

import shutil
import time
from contextlib import ExitStack
from pathlib import Path

from tests.bench import table
from tests.bench.load import measure
from tests.bench.service import running

ROUNDS = 3
SECONDS = 3
WARM_UP_SECONDS = 2
SIZES = (10, 10_000, 1_000_000)
BUSY = (10, 10_000)


def run(folder: Path) -> None:
    redis = shutil.which("valkey-server") or shutil.which("redis-server") or ""
    with ExitStack() as stack:
        services = {
            size: stack.enter_context(running(folder / str(size), redis=redis)) for size in SIZES
        }
        began = time.monotonic()
        for size, service in services.items():
            service.add_users(size)
        seconds = time.monotonic() - began
        allocator = services[SIZES[0]].valkey.client.info("memory")["mem_allocator"]
        print(f"\nMade {sum(SIZES):,} users in {seconds:.0f} s.")
        print(f"Redis: {Path(redis).name or 'the bundled Valkey'}, memory by {allocator}.")
        rows = {f"{size:,} users": (services[size], services[size].charges(size)) for size in SIZES}
        largest = services[SIZES[-1]]
        for busy in BUSY:
            label = f"{SIZES[-1]:,} users, {busy:,} of them busy"
            rows[label] = (largest, largest.charges(busy))
        for _, load in rows.values():
            load.send(WARM_UP_SECONDS)
        found: dict[str, list[dict[str, float]]] = {label: [] for label in rows}
        for _ in range(ROUNDS):
            for label, (service, load) in rows.items():
                found[label].append(measure(load, SECONDS, service.pids))
    _print(found)


def _print(found: dict[str, list[dict[str, float]]]) -> None:
    table.title(
        f"CPU of one charge of a random user, us: median (min-max) of {ROUNDS} rounds "
        f"of {SECONDS} s, every answer was 200"
    )
    table.row("in Redis", "server", "Redis")
    for label, costs in found.items():
        columns = [table.spread([cost[name] for cost in costs]) for name in ("server", "redis")]
        table.row(label, *columns)
