"""What nobody foresaw costs what was in hand, and never the tasks that all others wait on."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop

from server.errors import Unavailable
from server.store.pipeline import Pipeline
from server.store.store import Store
from server.tasks import keep_going
from tests.api import Api
from tests.hurried import Hurried
from tests.processes import Valkey

TIMEOUT = 0.3


def on(valkey: Valkey, test: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
    """Runs it on the server's loop, whose transports raise what asyncio's do not."""

    async def run() -> None:
        store = Store(valkey.url, TIMEOUT)
        await store.start()
        try:
            async with asyncio.timeout(20):
                await test(store)
        finally:
            await store.close()

    uvloop.run(run())


async def _refused(store: Store) -> float:
    """Seconds until a command was refused."""
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await store.get("any")
    return time.monotonic() - began


async def _served(store: Store) -> None:
    """The next connection serves; that it is made may take a moment."""
    while True:
        try:
            await store.get("any")
            return
        except Unavailable:
            await asyncio.sleep(0.01)


def test_a_connection_that_closes_just_before_a_write(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_closed = Pipeline._was_closed

    async def closes_then(connection: Any) -> bool:
        monkeypatch.setattr(Pipeline, "_was_closed", staticmethod(was_closed))
        answer = await was_closed(connection)
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        return answer

    async def test(store: Store) -> None:
        await store.get("any")
        monkeypatch.setattr(Pipeline, "_was_closed", staticmethod(closes_then))
        await _refused(store)
        await _served(store)
        assert store.is_alive

    on(valkey, test)


@pytest.mark.parametrize("step", ["_flush", "_was_closed", "_lose", "_disconnect"])
def test_an_exception_while_sending(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    async def fails(*_: Any, **__: Any) -> None:
        monkeypatch.undo()
        raise KeyError("unforeseen")

    async def test(store: Store) -> None:
        await store.get("any")
        if step in ("_lose", "_disconnect"):  # which is asked when the connection is lost
            monkeypatch.setattr(Pipeline, step, fails)
            valkey.client.client_kill_filter(_type="normal", skipme=True)
        else:
            monkeypatch.setattr(Pipeline, step, fails)
        with suppress(Unavailable):
            await store.get("any")
        await _served(store)
        assert store.is_alive

    on(valkey, test)
    if step == "_flush":
        (record,) = caplog.records
        assert (record.levelno, record.message) == (
            logging.ERROR,
            "Sending to Redis failed, and goes on",
        )


def test_a_caller_does_not_wait_for_a_task_that_hangs(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: Any) -> None:
        await asyncio.Event().wait()

    async def test(store: Store) -> None:
        monkeypatch.setattr(Pipeline, "_flush", hangs)
        await asyncio.gather(*(_refused(store) for _ in range(10)))
        assert not store.is_alive

    on(valkey, test)


@pytest.fixture
def mortal(valkey: Valkey, tmp_path: Path) -> Iterator[Hurried]:
    with Hurried(tmp_path / "out", valkey.url, {}, REDIS_TIMEOUT=str(TIMEOUT)) as server:
        yield server


def test_a_worker_that_cannot_send_any_more_says_so(mortal: Hurried) -> None:
    """Not that it should happen; but then callers get their 503, and the pod is replaced."""
    with httpx.Client(base_url=mortal.url, timeout=5) as client:
        user = Api.new_tenant(client).login()
        assert client.get("/livez").status_code == 200
        assert client.post("/end-sending").status_code == 200
        assert user.charge().status_code == 503
        reply = client.get("/livez")
        assert (reply.status_code, reply.json()) == (503, {"status": "unavailable"})
        assert client.get("/readyz").status_code == 503


async def test_a_task_that_is_kept_going(caplog: pytest.LogCaptureFixture) -> None:
    steps = iter(["fails", "goes on", "fails", "goes on"])
    done = asyncio.Event()

    async def step() -> None:
        what = next(steps, None)
        if what is None:
            done.set()
            await asyncio.Event().wait()
        if what == "fails":
            raise LookupError(what)

    task = asyncio.create_task(keep_going(step, "The test"))
    async with asyncio.timeout(10):
        await done.wait()
    task.cancel()
    assert [record.message for record in caplog.records] == ["The test failed, and goes on"] * 2
