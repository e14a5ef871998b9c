"""For tests that open very many connections."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def many_descriptors(least: int) -> Iterator[None]:
    """This process, and those that it starts, may open as much as the machine lets them. Skips the
    test if that is less than `least`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < least:
        pytest.skip("this machine gives too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
