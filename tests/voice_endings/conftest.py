"""A double, and the chance that a run is made of."""

import os
from collections.abc import Iterator
from random import Random, SystemRandom

import pytest

from tests.doubles.realtime import RealtimeDouble

ENDINGS = int(os.environ.get("ENDINGS", "100"))
"""Of each kind."""


@pytest.fixture
def double() -> Iterator[RealtimeDouble]:
    with RealtimeDouble() as double:
        yield double


@pytest.fixture
def random() -> Random:
    seed = int(os.environ.get("SEED") or SystemRandom().getrandbits(32))
    print(f"SEED={seed}")
    return Random(seed)
