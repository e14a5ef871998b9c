"""How many charges one worker answers, and how soon, the more connections send them.

Each connection sends its next charge when the last one is answered. Redis keeps its append-only
file, as it would in production. The figures are kept in build/ for `python -m tests.bench.plot`.
"""

import asyncio
import os
import platform
import random
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import aiohttp
import orjson

from tests.bench import table
from tests.bench.load import Load, LoadError, cpu_seconds, generator
from tests.bench.service import Service, running
from tests.processes import ROOT, Valkey, eventually

DATA = ROOT / "build" / "throughput.json"
CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ROUNDS = 3
SECONDS = 2
WARM_UP_SECONDS = 2
USERS = 1_000

_WRK_SCRIPT = """
local api_key, users, path, body = %s, %d, %s, %s
math.randomseed(os.time())
function request()
  return wrk.format("POST", path, {
    ["Authorization"] = "Bearer " .. string.format(api_key, math.random(0, users - 1)),
    ["Content-Type"] = "application/json",
  }, body)
end
function done(summary, latency)
  local e = summary.errors
  print("RESULT", summary.requests, e.status + e.connect + e.read + e.write + e.timeout,
        summary.duration, latency:percentile(50), latency:percentile(99))
end
"""


@dataclass(frozen=True)
class Answers:
    """What the clients saw: a number of replies, and latencies in us."""

    requests: int
    per_second: float
    p50_us: float
    p99_us: float


@dataclass(frozen=True)
class Row:
    """One round: the CPU per charge and the latencies are in us."""

    connections: int
    per_second: float
    p50_us: float
    p99_us: float
    server_us: float
    redis_us: float


def run(folder: Path) -> None:
    redis = shutil.which("valkey-server") or shutil.which("redis-server") or ""
    with running(folder, redis=redis) as service:
        service.add_users(USERS)
        # A rewrite would shorten the file, whose growth is measured.
        service.valkey.client.config_set("auto-aof-rewrite-percentage", "0")
        service.valkey.client.config_set("appendonly", "yes")
        eventually(lambda: not _persistence(service.valkey)["aof_rewrite_in_progress"])
        load = service.charges(USERS)
        load.send(WARM_UP_SECONDS)
        written = _persistence(service.valkey)["aof_current_size"]
        rounds = [_row(service, load, count) for _ in range(ROUNDS) for count in CONNECTIONS]
        written = _persistence(service.valkey)["aof_current_size"] - written
        found = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{os.cpu_count()} cores of {_processor()}, shared by server, Redis, load",
            "generator": generator().split()[0],
            "redis": _version(service.valkey),
            "aof_bytes": written / sum(row.per_second * SECONDS for row in rounds),
            "worker_mb": memory_mb(service.pids["server"]),
            "parent_mb": memory_mb(service.server.pid),
            "rows": [asdict(_middle(rounds, count)) for count in CONNECTIONS],
        }
    DATA.parent.mkdir(exist_ok=True)
    DATA.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    _print(found)


def _row(service: Service, load: Load, connections: int) -> Row:
    before = {name: cpu_seconds(pid) for name, pid in service.pids.items()}
    if shutil.which("wrk"):
        answers = _by_wrk(load, connections)
    else:
        answers = asyncio.run(_by_aiohttp(load, connections))
    cpu = {
        name: (cpu_seconds(pid) - before[name]) / answers.requests * 1e6
        for name, pid in service.pids.items()
    }
    latencies = (answers.p50_us, answers.p99_us)
    return Row(connections, answers.per_second, *latencies, cpu["server"], cpu["redis"])


def _by_wrk(load: Load, connections: int) -> Answers:
    base, _, path = load.url.removeprefix("http://").partition("/")
    texts = [f"[[{text}]]" for text in (load.api_key, f"/{path}", load.body)]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(_WRK_SCRIPT % (texts[0], load.users, texts[1], texts[2]))
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", file.name]
        output = subprocess.run(
            [*command, f"http://{base}"], capture_output=True, text=True, check=True
        ).stdout
    requests, failed, us, p50, p99 = map(float, output.partition("RESULT")[2].split())
    if failed or not requests:
        raise LoadError(f"{load.url}: of {requests:.0f}, {failed:.0f} failed")
    return Answers(int(requests), requests / us * 1e6, p50, p99)


async def _by_aiohttp(load: Load, connections: int) -> Answers:
    """Raises LoadError for any other status than 200."""
    seconds: list[float] = []
    began = time.monotonic()

    async def client(session: aiohttp.ClientSession) -> None:
        while (sent := time.monotonic()) < began + SECONDS:
            api_key = load.api_key % random.randrange(load.users)
            headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
            async with session.post(load.url, data=load.body, headers=headers) as reply:
                await reply.read()
                if reply.status != 200:
                    raise LoadError(f"{load.url}: {reply.status}")
            seconds.append(time.monotonic() - sent)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(client(session) for _ in range(connections)))
    elapsed = time.monotonic() - began
    hundredths = quantiles(seconds, n=100)
    latencies = (hundredths[49] * 1e6, hundredths[98] * 1e6)
    return Answers(len(seconds), len(seconds) / elapsed, *latencies)


def _middle(rows: list[Row], connections: int) -> Row:
    """The medians of the rounds with so many connections."""
    alike = [asdict(row) for row in rows if row.connections == connections]
    values = {name: median(row[name] for row in alike) for name in alike[0]}
    return Row(**{**values, "connections": connections})


def _persistence(valkey: Valkey) -> dict[str, int]:
    return dict(valkey.client.info("persistence"))


def _version(valkey: Valkey) -> str:
    info = valkey.client.info()
    name, number = ("Redis", info["redis_version"])
    if "valkey_version" in info:
        name, number = ("Valkey", info["valkey_version"])
    return f"{name} {number}, {info['mem_allocator']}"


def _processor() -> str:
    """The model, as the kernel calls it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def memory_mb(pid: int) -> float:
    """Memory of a process, what it shares with others counted by its share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _print(found: dict[str, Any]) -> None:
    table.title(f"Charges of {USERS:,} users: medians of {ROUNDS} rounds of {SECONDS} s, all 200")
    print(f"  {found['date']}, {found['machine']}; {found['redis']}, append-only file")
    table.row("connections", "per second", "p50 / p99, ms", "server / Redis, us")
    for row in found["rows"]:
        table.row(
            str(row["connections"]),
            f"{row['per_second']:,.0f}",
            f"{row['p50_us'] / 1000:.2f} / {row['p99_us'] / 1000:.2f}",
            f"{row['server_us']:.0f} / {row['redis_us']:.0f}",
        )
    table.row("append-only file, bytes per charge", f"{found['aof_bytes']:,.0f}")
    table.row("memory (PSS) of the worker, MB", f"{found['worker_mb']:.0f}")
    table.row("memory (PSS) of its parent, MB", f"{found['parent_mb']:.0f}")
