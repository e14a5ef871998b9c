"""What the workers of a server share: each publishes what it counted, any can answer for all.

In memory made before the workers are forked, so that nothing is left behind, and no directory is
needed. Each worker has a slot: one that replaces another goes on from what that had published
last, so that no counter goes back. A worker that is killed loses the counts of a second at most.
"""

import asyncio
import logging
import mmap
import struct
from zlib import crc32

import orjson

from server import metrics
from server.metrics.families import Gauge, Labels
from server.metrics.text import render

log = logging.getLogger(__name__)

PUBLISH_SECONDS = 1.0
# All families with every label at its longest take some 1.5 MB; only what is used is there.
HALF_BYTES = 4 * 1024 * 1024
_HEAD = struct.Struct("=II")
# Whether its worker lives, and which half is in force: 0 (none), 1 or 2. The other half is
# written meanwhile, so a worker that is killed then spoils nothing.
_FLAGS_BYTES = 2
# A snapshot that was written over while it was read is read again. As halves alternate, its worker
# must have written twice in that moment.
_TRIES = 100
_SLOT_BYTES = _FLAGS_BYTES + 2 * HALF_BYTES

Snapshot = dict[str, list[tuple[list[str | int], list[float]]]]


class Shared:
    """Memory for the snapshots of `slots` workers, which each writes and all read.

    Files of prometheus_client, one per process, would need a directory, and would become more
    with every worker that is replaced. To count a charge takes it 8 times as long, with files 15
    times (`python -m tests.bench metrics`, and that with PROMETHEUS_MULTIPROC_DIR set).
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._memory = mmap.mmap(-1, slots * _SLOT_BYTES)

    def write(self, slot: int, snapshot: bytes) -> None:
        if _HEAD.size + len(snapshot) > HALF_BYTES:
            log.error("The metrics of this worker are too many to be shared")
            return
        memory, at = self._memory, slot * _SLOT_BYTES
        half = 2 if memory[at + 1] == 1 else 1
        start = self._start(slot, half)
        memory[start : start + _HEAD.size] = _HEAD.pack(len(snapshot), crc32(snapshot))
        memory[start + _HEAD.size : start + _HEAD.size + len(snapshot)] = snapshot
        memory[at + 1] = half
        memory[at] = 1

    def read(self, slot: int) -> bytes:
        """The last one written; b"" if there is none."""
        for _ in range(_TRIES):
            half = self._memory[slot * _SLOT_BYTES + 1]
            if not half:
                return b""
            start = self._start(slot, half)
            length, checksum = _HEAD.unpack_from(self._memory, start)
            snapshot = self._memory[start + _HEAD.size : start + _HEAD.size + length]
            if crc32(snapshot) == checksum:
                return snapshot
        raise RuntimeError("the shared metrics are spoilt")

    def others(self, own: int) -> list[tuple[bytes, bool]]:
        """The snapshots of the other slots, each with whether its worker lives."""
        slots = [slot for slot in range(self._slots) if slot != own]
        return [(self.read(slot), bool(self._memory[slot * _SLOT_BYTES])) for slot in slots]

    def died(self, slot: int) -> None:
        """The worker of that slot has died: its gauges count no more."""
        self._memory[slot * _SLOT_BYTES] = 0

    @staticmethod
    def _start(slot: int, half: int) -> int:
        return slot * _SLOT_BYTES + _FLAGS_BYTES + (half - 1) * HALF_BYTES


class ThisWorker:
    """What this process counts, as part of its server's; alone until it joins others."""

    def __init__(self) -> None:
        self._shared: Shared | None = None
        self._slot = 0

    def join(self, shared: Shared, slot: int) -> None:
        """Takes a slot, and begins with what an earlier worker there had counted."""
        self._shared, self._slot = shared, slot
        earlier = shared.read(slot)
        _restore(earlier)
        if earlier:
            metrics.worker_replaced()
        # At once: one that soon dies again must be seen too.
        self.publish()

    @property
    def speaks_for_all(self) -> bool:
        """Of the workers of a server one does: what they all see is logged once."""
        return self._slot == 0

    async def publish_and_pause(self) -> None:
        self.publish()
        await asyncio.sleep(PUBLISH_SECONDS)

    def publish(self) -> None:
        if self._shared is not None:
            self._shared.write(self._slot, _snapshot())

    async def text(self) -> bytes:
        """The metrics of all workers, for Prometheus."""
        # Published first: what this answer counts, no later one may lack, be it from another worker
        # or from the one that replaces this.
        self.publish()
        totals = {
            name: {labels: list(numbers) for labels, numbers in family.values.items()}
            for name, family in metrics.FAMILIES.items()
        }
        for snapshot, lives in self._shared.others(self._slot) if self._shared else ():
            _add(totals, snapshot, lives)
            # Some milliseconds each, where there are many tenants: charges must not wait for all.
            await asyncio.sleep(0)
        return render(metrics.FAMILIES.values(), totals)


this_worker = ThisWorker()


def _snapshot() -> bytes:
    return orjson.dumps(
        {name: list(family.values.items()) for name, family in metrics.FAMILIES.items()}
    )


def _restore(snapshot: bytes) -> None:
    """Begins with what an earlier worker had counted; its gauges ended with it."""
    values: Snapshot = orjson.loads(snapshot or b"{}")
    for name, family in metrics.FAMILIES.items():
        family.clear()
        if not isinstance(family, Gauge):
            family.restore({tuple(labels): numbers for labels, numbers in values.get(name, ())})


def _add(totals: dict[str, dict[Labels, list[float]]], snapshot: bytes, lives: bool) -> None:
    values: Snapshot = orjson.loads(snapshot or b"{}")
    for name, metrics_of_name in values.items():
        if isinstance(metrics.FAMILIES[name], Gauge) and not lives:
            continue
        total = totals[name]
        for labels, numbers in metrics_of_name:
            key = tuple(labels)
            if (known := total.get(key)) is None:
                total[key] = numbers
                continue
            for index, number in enumerate(numbers):
                known[index] += number
