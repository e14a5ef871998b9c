"""What counting costs, in us, beside prometheus_client.

A charge is counted as a request and as a charge, and has its share of a flush to Redis. Once a
second each worker publishes what it counted, and a scrape adds up what all published.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import prometheus_client

from server import metrics
from server.metrics.families import MOST_NAMED, Histogram
from server.metrics.shared import Shared, ThisWorker
from tests.bench import table

ROUNDS = 9
WORKERS = 4
CHARGE_US = 100
"""What a charge costs altogether, at least: see `python -m tests.bench charge`."""
MOST_OF_CHARGE = 0.05


def count_charge() -> None:
    metrics.request_answered("POST /{tenantId}/charges", 200, 0.0012)
    metrics.charge_answered("abc", "charged", 5)
    metrics.flushed(4, 0.0004)


def theirs() -> Callable[[], None]:
    """What counts a charge with prometheus_client: the same metrics, labels and bounds.

    In the memory of one process; in files for several, where PROMETHEUS_MULTIPROC_DIR is set.
    """
    registry = prometheus_client.CollectorRegistry()

    def counter(name: str) -> prometheus_client.Counter:
        family = metrics.FAMILIES[name]
        return prometheus_client.Counter(name, family.about, family.labels, registry=registry)

    def histogram(name: str) -> prometheus_client.Histogram:
        family = metrics.FAMILIES[name]
        assert isinstance(family, Histogram)
        return prometheus_client.Histogram(
            name, family.about, family.labels, buckets=family.bounds, registry=registry
        )

    requests, charges = counter("vibe_requests_total"), counter("vibe_charges_total")
    seconds, tokens = histogram("vibe_request_duration_seconds"), counter("vibe_tokens_total")
    flush_size = histogram("vibe_redis_flush_commands")
    flush_seconds = histogram("vibe_redis_flush_duration_seconds")

    def count() -> None:
        requests.labels("POST /{tenantId}/charges", 200).inc()
        seconds.labels("POST /{tenantId}/charges").observe(0.0012)
        charges.labels("abc", "charged").inc()
        tokens.labels("abc", "charged").inc(5)
        flush_size.observe(4)
        flush_seconds.observe(0.0004)

    return count


def costs(work: Callable[[], object], times: int) -> list[float]:
    """us of one call, in each round."""
    found = []
    for _ in range(ROUNDS):
        began = perf_counter()
        for _ in range(times):
            work()
        found.append((perf_counter() - began) / times * 1e6)
    return found


def fill() -> None:
    """All the labels that a server with many tenants has."""
    for number in range(MOST_NAMED + 1):
        for outcome in ("charged", "payment_required", "too_many_requests", "invalid_api_key"):
            metrics.charge_answered(f"tenant-{number}", outcome, 5)
        for outcome in ("completed", "client_gone", "upstream_error"):
            metrics.call_ended(
                f"tenant-{number}", f"endpoint-{number % 5}", "chat", outcome, 1.5, 100
            )


def run(_: Path) -> None:
    worker, shared = ThisWorker(), Shared(WORKERS)
    # The last one is the worker that is measured.
    for slot in range(WORKERS):
        worker.join(shared, slot)
    table.title(f"CPU of the metrics, us: median (min-max) of {ROUNDS} rounds")
    charge = costs(count_charge, 20_000)
    shares = [cost / CHARGE_US for cost in charge]
    table.row("to count one charge", table.spread(charge, 2))
    peer = costs(theirs(), 20_000)
    table.row("with prometheus_client", table.spread(peer, 2))
    ratios = [cost / own for cost, own in zip(peer, charge, strict=True)]
    table.row("times as much", table.spread(ratios, 1))
    note = table.limit(shares, MOST_OF_CHARGE)
    table.row(f"as a part of its {CHARGE_US} us", table.spread(shares, 4), note=note)
    for label in ("one tenant", f"{MOST_NAMED} tenants"):
        table.row(f"to publish, once a second, {label}", table.spread(costs(worker.publish, 20)))
        scrape = costs(lambda: asyncio.run(worker.text()), 5)
        table.row(f"to answer a scrape, {WORKERS} workers", table.spread(scrape))
        for slot in range(WORKERS):
            worker.join(shared, slot)
            fill()
            worker.publish()
