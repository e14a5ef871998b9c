"""What one charge costs, beside a bare Sanic route and the same service in Koa."""

from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from tests.bench import peers, table
from tests.bench.load import Load, measure
from tests.bench.service import running

ROUNDS = 9
SECONDS = 2
WARM_UP_SECONDS = 2
USERS = 1_000
# One alone can reach the largest rate limit there is.
HOT_USERS = 8
BARE, OURS, KOA = "bare Sanic, no Redis", "vibe-server, hot users", "Koa, hot users"
MOST_OF_BARE = 1.4
MOST_OF_KOA = 1.1


def run(folder: Path) -> None:
    with ExitStack() as stack:
        service = stack.enter_context(running(folder))
        service.add_users(USERS)
        bare = stack.enter_context(peers.bare_sanic(folder))
        # Those that are compared follow each other, so that they find the machine alike.
        rows: dict[str, tuple[Load, dict[str, int]]] = {
            BARE: (service.charges(HOT_USERS, bare.url), {"server": bare.pid}),
            OURS: (service.charges(HOT_USERS), service.pids),
        }
        try:
            koa = stack.enter_context(peers.koa(folder, service.valkey.url))
            pids = {"server": koa.pid, "redis": service.valkey.pid}
            rows[KOA] = (service.charges(HOT_USERS, koa.url), pids)
        except peers.KoaMissing as missing:
            print(f"Koa is SKIPPED: {missing}")
        rows[f"vibe-server, {USERS:,} users"] = (service.charges(USERS), service.pids)
        found = _rounds(rows)
    _print(found)


def _rounds(rows: dict[str, tuple[Load, dict[str, int]]]) -> dict[str, list[dict[str, float]]]:
    """All rows in turn, again and again, so that a slow moment of the machine strikes them all."""
    for load, _ in rows.values():
        load.send(WARM_UP_SECONDS)
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for _ in range(ROUNDS):
        for label, (load, pids) in rows.items():
            found[label].append(measure(load, SECONDS, pids))
    return found


def _print(found: dict[str, list[dict[str, float]]]) -> None:
    table.title(
        f"CPU of one charge, us: median (min-max) of {ROUNDS} rounds of {SECONDS} s, "
        "every answer was 200"
    )
    table.row("", "server", "Redis")
    for label, costs in found.items():
        columns = [
            table.spread([cost[name] for cost in costs if name in cost]) if name in costs[0] else ""
            for name in ("server", "redis")
        ]
        table.row(label, *columns)
    ours = [cost["server"] for cost in found[OURS]]
    for label, name, most in ((BARE, "bare Sanic", MOST_OF_BARE), (KOA, "Koa", MOST_OF_KOA)):
        if label in found:
            # Round by round: neighbours in time share the state of the machine.
            theirs = [cost["server"] for cost in found[label]]
            ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
            table.row(
                f"vibe-server / {name}", table.spread(ratios, 2), note=table.limit(ratios, most)
            )
