"""The soak's judgement, on made-up samples."""

import math

import pytest

from tests.soak.verdict import faults_of, left_open
from tests.soak.watch import MIB, Sample, Usage

MINUTES = 20
WARM_UP_SECONDS = 300
PARENT = Usage(50 * MIB, 20 * MIB, 20)


def _samples(leak: float = 0, opened: float = 0) -> list[Sample]:
    """20 minutes that begin with a warm-up of 10 MiB and then leak so much in all of the time."""
    samples = []
    for second in range(0, MINUTES * 60, 5):
        part = second / (MINUTES * 60)
        warm = 10 * MIB * min(second / WARM_UP_SECONDS, 1)
        noise = MIB / 2 * math.sin(second)
        rss = int(60 * MIB + warm + noise + leak * part)
        descriptors = int(40 + 5 * math.sin(second) + opened * part)
        samples.append(
            Sample(second, {"parent": PARENT, "worker 1": Usage(rss, rss, descriptors)}, 0)
        )
    return samples


@pytest.mark.parametrize(
    ("leak", "opened", "faults"),
    [
        (0, 0, []),
        (1.5 * MIB, 0, []),
        (3 * MIB, 0, ["grew by"]),
        (-5 * MIB, 0, []),
        (0, 8, []),
        (0, 20, ["descriptors more"]),
        (9 * MIB, 60, ["grew by", "descriptors more"]),
    ],
)
def test_growth_after_the_warm_up_is_a_fault(leak: float, opened: float, faults: list[str]) -> None:
    found = faults_of(_samples(leak, opened), requests=100_000)
    assert len(found) == len(faults)
    assert all(part in fault for part, fault in zip(faults, found, strict=True))


def test_descriptors_left_open_are_a_fault() -> None:
    def idle(descriptors: int) -> Sample:
        return Sample(0, {"worker 1": Usage(0, 0, descriptors)}, 0)

    assert left_open(idle(20), idle(21)) == []
    assert left_open(idle(20), idle(23)) == ["worker 1 kept 3 descriptors open"]
