"""Whether something leaks.

The first half of the samples is warm-up: connections, caches and the allocator's arenas fill. A
straight line is fitted to the second half (least squares), and what it rises in that time must be
within a limit. In ten minutes at 70 requests a second, 25 bytes kept of each are above it.

What grows and is no leak: each worker remembers the users of up to 100,000 API keys, some 300 bytes
each, of whom few log in here; and clients who leave in mid-stream make the heap less compact,
though what is allocated in it, by malloc's own count, stays the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression, pstdev

from tests.soak.watch import MIB, Sample

MOST_BYTES = 1 * MIB
MOST_DESCRIPTORS = 5
LEFT_OPEN = 2
"""More descriptors than before the load, some time after it."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How much a line fitted to values rises in their time, and how far they are from it."""

    rise: float
    spread: float


def growth(seconds: Sequence[float], values: Sequence[float]) -> Growth:
    slope, start = linear_regression(seconds, values)
    spread = pstdev(value - start - slope * at for at, value in zip(seconds, values, strict=True))
    return Growth(slope * (seconds[-1] - seconds[0]), spread)


def faults_of(samples: Sequence[Sample], requests: int) -> list[str]:
    """Prints what each process grew by; gives what is wrong. `requests` were sent in all, to
    all processes but the parent."""
    half = samples[len(samples) // 2 :]
    seconds = [sample.seconds for sample in half]
    lasted = seconds[-1] - seconds[0]
    share = requests * lasted / samples[-1].seconds / (len(half[0].usages) - 1)
    print(f"\nGrowth in the last {lasted / 60:.1f} minutes, by a linear fit:")
    faults = []
    for name in half[0].usages:
        usages = [sample.usages[name] for sample in half]
        memory = growth(seconds, [usage.rss for usage in usages])
        open_files = growth(seconds, [usage.descriptors for usage in usages])
        print(
            f"  {name}: memory {memory.rise / MIB:+.2f} MiB (spread {memory.spread / MIB:.2f},"
            f" limit {MOST_BYTES / MIB:.0f}), {memory.rise / share:+.1f} bytes a worker's request;"
            f" descriptors {open_files.rise:+.1f} (spread {open_files.spread:.1f},"
            f" limit {MOST_DESCRIPTORS})"
        )
        if memory.rise > MOST_BYTES:
            faults.append(f"{name} grew by {memory.rise / MIB:.2f} MiB")
        if open_files.rise > MOST_DESCRIPTORS:
            faults.append(f"{name} opened {open_files.rise:.0f} descriptors more")
    return faults


def left_open(before: Sample, after: Sample) -> list[str]:
    """Which processes have more open, with no load, than before it."""
    counts = {
        name: after.usages[name].descriptors - usage.descriptors
        for name, usage in before.usages.items()
    }
    return [
        f"{name} kept {count} descriptors open"
        for name, count in counts.items()
        if count > LEFT_OPEN
    ]
