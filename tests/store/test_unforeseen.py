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
from server.store import pipeline
from server.store.command import send_all, was_closed
from server.store.pipeline import FLUSH_COMMANDS, Pipeline
from server.store.status import Status
from server.store.store import Store
from server.tasks import FIRST_PAUSE_SECONDS, keep_going
from tests.api import Api, User
from tests.hurried import Hurried
from tests.processes import Valkey, eventually, until

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
    async def closes_then(connection: Any) -> bool:
        monkeypatch.setattr(pipeline, "was_closed", was_closed)
        answer = await was_closed(connection)
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        return answer

    async def test(store: Store) -> None:
        await store.get("any")
        monkeypatch.setattr(pipeline, "was_closed", closes_then)
        await _refused(store)
        await _served(store)
        assert store.is_alive()

    on(valkey, test)


@pytest.mark.parametrize("step", ["_flush", "was_closed", "_lose", "_reconnect", "_disconnect"])
def test_an_exception_while_sending(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    async def fails(*_: Any, **__: Any) -> None:
        monkeypatch.undo()
        raise KeyError("unforeseen")

    async def cut(connection: Any, commands: Any) -> None:
        monkeypatch.setattr(pipeline, "send_all", send_all)
        await send_all(connection, commands)
        connection._writer.transport.abort()

    async def test(store: Store) -> None:
        await store.get("any")
        if step in ("_lose", "_disconnect", "_reconnect"):  # what comes after a lost connection
            monkeypatch.setattr(pipeline, "send_all", cut)
        monkeypatch.setattr(pipeline if step == "was_closed" else Pipeline, step, fails)
        with suppress(Unavailable):
            await store.get("any")
        await _served(store)
        assert store.is_alive()

    on(valkey, test)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.message == "Sending to Redis failed, and goes on"


def test_a_script_that_redis_does_not_know_outlasts_its_connection(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits to be sent as text when the connection is lost, and only what followed it is."""

    async def test(store: Store) -> None:
        await store.get("any")

        async def cut_after_the_first_reply(connection: Any, commands: Any) -> None:
            monkeypatch.undo()
            await send_all(connection, commands)
            read = connection._parser.read_response
            replies = iter([read])

            async def read_once() -> Any:
                for first in replies:
                    return await first()
                raise ConnectionError("cut")

            monkeypatch.setattr(connection._parser, "read_response", read_once)

        valkey.client.script_flush()
        monkeypatch.setattr(pipeline, "send_all", cut_after_the_first_reply)
        keys = ("user:nobody", "{user:nobody}:ledger")
        runs = [asyncio.create_task(store.run("audit", keys)) for _ in range(2)]
        await asyncio.wait(runs)
        assert runs[0].result() == (Status.UNKNOWN_USER, [])
        assert isinstance(runs[1].exception(), Unavailable)

    on(valkey, test)


def test_an_unforeseen_exception_while_connecting_does_not_hold_up_the_start(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers get their answer at once, as when Redis is away."""

    load, is_mended = Store._load_into, False

    async def fails(store: Store, connection: Any) -> None:
        if not is_mended:
            raise ValueError("unforeseen")
        await load(store, connection)

    async def run() -> None:
        nonlocal is_mended
        monkeypatch.setattr(Store, "_load_into", fails)
        store = Store(valkey.url, TIMEOUT)
        async with asyncio.timeout(5):
            await store.start()
        assert await _refused(store) < TIMEOUT / 2
        is_mended = True
        await _served(store)
        await store.close()

    uvloop.run(run())


@pytest.mark.parametrize("takes", [False, True])
def test_a_caller_does_not_wait_for_a_task_that_hangs(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch, takes: bool
) -> None:
    """Before it takes the commands, or when it has them in its hands."""

    async def hangs(self: Pipeline) -> None:
        if takes:
            self._queue.take(FLUSH_COMMANDS, 0, self._batch)
        await asyncio.Event().wait()

    async def test(store: Store) -> None:
        monkeypatch.setattr(Pipeline, "_flush", hangs)
        for _ in range(2):  # the next ones have to wait for themselves
            await asyncio.gather(*(_refused(store) for _ in range(10)))
        await until(lambda: not store.is_alive())

    on(valkey, test)


@pytest.fixture
def mortal(valkey: Valkey, tmp_path: Path) -> Iterator[Hurried]:
    with Hurried(tmp_path / "out", valkey.url, {}, REDIS_TIMEOUT=str(TIMEOUT)) as server:
        yield server


def serves(user: User) -> bool:
    try:
        return user.charge().status_code == 200
    except httpx.TransportError:
        return False  # its worker has just ended


def test_a_worker_that_cannot_send_any_more_says_so(mortal: Hurried) -> None:
    """Not that it should happen; but then callers get their 503, and the worker is replaced."""
    with httpx.Client(base_url=mortal.url, timeout=5) as client:
        user = Api.new_tenant(client).login()
        assert client.get("/livez").status_code == 200
        assert client.post("/end-sending").status_code == 200
        reply = client.get("/livez")
        assert (reply.status_code, reply.json()) == (503, {"status": "unavailable"})
        assert user.charge().status_code == 503
        assert client.get("/readyz").status_code == 503
        eventually(lambda: serves(user), 20)
    assert "cannot speak to Redis any more" in mortal.text()


async def test_a_task_that_is_kept_going(caplog: pytest.LogCaptureFixture) -> None:
    steps = iter(["fails", "goes on", "fails", "goes on", "fails"])
    done = asyncio.Event()

    async def step() -> None:
        what = next(steps, None)
        if what is None:
            done.set()
            await asyncio.Event().wait()
        if what == "fails":
            raise LookupError(what)

    task = asyncio.create_task(keep_going(step, "The test"))
    began = time.monotonic()
    async with asyncio.timeout(10):
        await done.wait()
    task.cancel()
    assert [record.message for record in caplog.records] == ["The test failed, and goes on"] * 3
    # The pauses double, so that a fault that stays does not fill the log.
    assert time.monotonic() - began > (1 + 2 + 4) * FIRST_PAUSE_SECONDS
