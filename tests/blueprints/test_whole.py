"""Work that is done though the client has left."""

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest

from server.blueprints.whole import whole
from server.errors import InvalidApiKey


async def test_a_refusal_that_nobody_is_there_to_be_told(caplog: pytest.LogCaptureFixture) -> None:
    """A fault that is said by the loop, when the task is forgotten, would be a line of [ERROR]."""
    left, done = asyncio.Event(), asyncio.Event()

    async def refuse() -> None:
        await left.wait()
        done.set()
        raise InvalidApiKey

    request: Any = SimpleNamespace(
        services=SimpleNamespace(holding=SimpleNamespace(wait_for=lambda task: None))
    )
    waiting = asyncio.create_task(whole(request, refuse()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    left.set()
    await done.wait()
    await asyncio.sleep(0)
    gc.collect()
    assert caplog.text == ""
