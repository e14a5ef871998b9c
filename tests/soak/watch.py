"""What processes use, over time."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process: bytes, and open descriptors. `pss` shares out what is shared since the fork."""

    rss: int
    pss: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Sample:
    """`seconds` since the watch began; usages by process; `redis`: Valkey's used_memory, bytes."""

    seconds: float
    usages: Mapping[str, Usage]
    redis: int


def usage_of(pid: int) -> Usage:
    """Raises OSError when the process has ended."""
    process = Path(f"/proc/{pid}")
    text = (process / "smaps_rollup").read_text()
    rss, pss = (int(found) * 1024 for found in re.findall(r"^(?:Rss|Pss): +(\d+)", text, re.M))
    return Usage(rss, pss, sum(1 for _ in (process / "fd").iterdir()))


class Watch:
    """Takes and prints samples of these processes, process IDs by name."""

    def __init__(self, processes: Mapping[str, int], redis_bytes: Callable[[], int]) -> None:
        self._processes = processes
        self.samples: list[Sample] = []
        self._redis_bytes = redis_bytes
        self._began = time.monotonic()

    def take(self) -> Sample:
        usages = {name: usage_of(pid) for name, pid in self._processes.items()}
        self.samples.append(Sample(time.monotonic() - self._began, usages, self._redis_bytes()))
        return self.samples[-1]

    def print_head(self) -> None:
        columns = "".join(f"{name}: RSS  PSS  fds".rjust(28) for name in self._processes)
        print(f"{'minute':>6}{columns}{'Valkey':>10}  (MiB)", flush=True)

    def print_last(self) -> None:
        sample = self.samples[-1]
        columns = "".join(
            f"{usage.rss / MIB:.1f}  {usage.pss / MIB:.1f}  {usage.descriptors:4}".rjust(28)
            for usage in sample.usages.values()
        )
        print(f"{sample.seconds / 60:6.1f}{columns}{sample.redis / MIB:10.1f}", flush=True)
