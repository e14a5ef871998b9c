"""What a message of a session of voice costs, beside a relay that reads none; how late it is; and
whether a worker keeps up with many sessions."""

import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import uvloop

from tests.bench import table, voice_load, voice_memory
from tests.bench.peers import Peer
from tests.bench.service import RICH, Service, running
from tests.bench.voice_load import Rates, Round
from tests.endpoints import voice_config

DENSE = Rates(sessions=40, up=50, down=50)
USUAL = Rates(sessions=100, up=25, down=10)
"""As clients have them."""
FLOOD = Rates(sessions=40, up=0, down=60)
ROUNDS = 3
SECONDS = 3
USUAL_SECONDS = 12
MOST_RATIO = 1.3
MOST_DELAY_MS = 1.0


def run(folder: Path) -> None:
    _compare(folder / "dense")
    _keep_up(folder / "usual")
    _weigh(folder / "memory")


def _compare(folder: Path) -> None:
    rates = DENSE
    with _service(folder, rates) as (upstream, service, ours):
        url = _ws(upstream)
        with Peer(_module("voice_bare", url), folder / "bare.out") as bare:
            users = [service.api.login() for _ in range(rates.users)]
            pid = service.pids["server"]
            ways = {
                "direct": (url, upstream.pid),
                "bare": (_ws(bare), bare.pid),
                "ours": (ours, pid),
            }
            found: dict[str, list[Round]] = defaultdict(list)
            for _ in range(ROUNDS):
                for name, (where, measured) in ways.items():
                    one = uvloop.run(voice_load.run(rates, SECONDS, where, users, measured, pid))
                    found[name].append(one)
    _print(found)


def _keep_up(folder: Path) -> None:
    rates = USUAL
    with _service(folder, rates) as (_, service, ours):
        users = [service.api.login() for _ in range(rates.users)]
        pid = service.pids["server"]
        found = uvloop.run(voice_load.run(rates, USUAL_SECONDS, ours, users, pid, pid))
    third = len(found.delays) // 3
    early, late = median(found.delays[:third]) * 1e3, median(found.delays[-third:]) * 1e3
    table.title(
        f"{rates.sessions} sessions of voice, {rates.up} messages a second up and {rates.down} "
        f"down, {USUAL_SECONDS} s"
    )
    table.row("messages a second", f"{found.messages / USUAL_SECONDS:,.0f}")
    table.row("of a core", f"{found.cpu / USUAL_SECONDS:.0%}")
    table.row(
        "late in the first and the last third, ms",
        f"{early:.2f} and {late:.2f}",
        note=f"grown: {table.limit([late - early], MOST_DELAY_MS)}",
    )


def _weigh(folder: Path) -> None:
    rates = FLOOD
    with _service(folder, rates) as (_, service, ours):
        users = [service.api.login() for _ in range(rates.users)]
        pid = service.pids["server"]
        silent, full = uvloop.run(voice_memory.weigh(ours, users, rates.sessions, pid))
    table.title(f"Memory of each of {rates.sessions} sessions of voice in a worker, KiB")
    table.row("silent", f"{silent:.0f}")
    table.row("nothing read, and a message not finished", f"{full:.0f}")


@contextmanager
def _service(folder: Path, rates: Rates) -> Iterator[tuple[Peer, Service, str]]:
    """A provider, the service before it, and the URL of its sessions."""
    folder.mkdir()
    command = _module("voice_upstream", str(rates.down))
    with Peer(command, folder / "upstream.out") as upstream:
        tenant = voice_config(upstream.url, RICH["tokens"], max_output=1_000_000, context=1)
        with running(folder, tenant=tenant, ALLOW_PRIVATE_UPSTREAMS="1") as service:
            base = service.server.url.replace("http", "ws", 1)
            yield upstream, service, f"{base}/{service.api.tenant_id}/v1/realtime"


def _ws(peer: Peer) -> str:
    return f"{peer.url.replace('http', 'ws', 1)}/v1/realtime"


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"tests.bench.{name}", "PORT", *arguments]


def _print(found: dict[str, list[Round]]) -> None:
    rates = DENSE
    table.title(
        f"{rates.sessions} sessions of voice, {rates.up} messages a second each way, of 1.3 KB and "
        f"6.6 KB: median (min-max) of {ROUNDS} rounds of {SECONDS} s"
    )
    table.row("", "bare relay", "vibe-server")
    bare, ours = found["bare"], found["ours"]
    cpu = [[one.cpu / one.messages * 1e6 for one in each] for each in (bare, ours)]
    late = [
        [
            (median(one.delays) - median(direct.delays)) * 1e3
            for one, direct in zip(each, found["direct"], strict=True)
        ]
        for each in (bare, ours)
    ]
    table.row("CPU of a message, us", *(table.spread(each) for each in cpu))
    ratios = [mine / theirs for theirs, mine in zip(*cpu, strict=True)]
    table.row(
        "  vibe-server / bare relay",
        "",
        table.spread(ratios, 2),
        note=table.limit(ratios, MOST_RATIO),
    )
    table.row(
        "later than without it, ms",
        *(table.spread(each, 2) for each in late),
        note=table.limit(late[1], MOST_DELAY_MS),
    )
    kib = median(one.memory for one in ours) / rates.sessions * 1024
    table.row("memory of a session, KiB", "", f"{kib:.0f}")
