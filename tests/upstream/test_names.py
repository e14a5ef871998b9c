"""Look-ups of names: what one tenant's names cost nobody else."""

import asyncio
import socket
import threading
from typing import Any

import pytest

from server.timeouts import Timeouts
from server.upstream import names as look_ups
from server.upstream.client import Upstream
from server.upstream.errors import Unreachable
from server.upstream.names import LOOK_UPS_OF_A_TENANT, Names
from tests.processes import until
from tests.silent_names import SilentNames


async def fail(names: Names, name: str, tenant_id: str = "abc", seconds: float = 0.05) -> None:
    with pytest.raises(OSError, match="no address in time"):
        await names.find(name, tenant_id, seconds)


def some_silent(count: int, letter: str = "a") -> list[str]:
    return [f"{letter}{n}.silent.example" for n in range(count)]


async def test_a_tenants_silent_names_hold_few_threads(silent_names: SilentNames) -> None:
    """However often it asks, and long after it has given up."""
    names = Names()
    for _ in range(3):
        await asyncio.gather(*(fail(names, name) for name in some_silent(100)))
    await until(lambda: len(silent_names.asked) == LOOK_UPS_OF_A_TENANT)
    await fail(names, "localhost")  # it is its own trouble
    assert await names.find("localhost", "other", 5)
    silent_names.over.set()
    assert await names.find("localhost", "abc", 5)
    assert len(silent_names.asked) == LOOK_UPS_OF_A_TENANT, "nothing was left waiting"


async def test_who_asks_for_the_same_name_shares_its_look_up(silent_names: SilentNames) -> None:
    """Also when it was another tenant that began it, and has none to spare."""
    names = Names()
    await asyncio.gather(*(fail(names, name) for name in some_silent(LOOK_UPS_OF_A_TENANT)))
    shared = some_silent(1, "b")[0]
    asking = [asyncio.create_task(names.find(shared, "abc", 5))]
    await asyncio.sleep(0)
    asking += [asyncio.create_task(names.find(shared, who, 5)) for who in ("other", "third")]
    await until(lambda: shared in silent_names.asked)
    silent_names.over.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(outcome, socket.gaierror) for outcome in outcomes)
    assert silent_names.asked.count(shared) <= 2


async def test_a_tenant_that_waits_for_its_turn_holds_up_nobody_who_wants_the_same_host(
    silent_names: SilentNames,
) -> None:
    names = Names()
    upstream = Upstream(names, True, Timeouts(connect=2))
    await upstream.start()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://localhost:{listener.getsockname()[1]}/"
        await asyncio.gather(*(fail(names, name) for name in some_silent(LOOK_UPS_OF_A_TENANT)))
        waits = asyncio.create_task(upstream.post(url, {}, b"", tenant_id="abc"))
        await asyncio.sleep(0)
        sent = asyncio.Event()
        other = asyncio.create_task(upstream.post(url, {}, b"", sent.set, tenant_id="other"))
        await sent.wait()
        assert not waits.done()
        with pytest.raises(Unreachable, match=r"^ETIMEDOUT$"):
            await waits
        other.cancel()
    await upstream.close()


async def test_all_tenants_together_have_a_bound(
    silent_names: SilentNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_ups, "LOOK_UPS", 6)
    names = Names()
    asking = [fail(names, name, letter) for letter in "abcd" for name in some_silent(4, letter)]
    await asyncio.gather(*asking)
    await until(lambda: len(silent_names.asked) == 6)
    silent_names.over.set()
    for letter in "abcd":
        assert await names.find("localhost", letter, 5)


async def test_a_machine_without_threads_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fails)
    names = Names()
    for _ in range(2 * LOOK_UPS_OF_A_TENANT):  # no room is lost
        with pytest.raises(OSError, match="no thread"):
            await names.find("localhost", "abc", 5)
    monkeypatch.undo()
    assert await names.find("localhost", "abc", 5)


async def test_addresses_are_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a name with thousands those of IPv4, too."""
    asked = []

    def getaddrinfo(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        dead = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0))] * 3_000
        return [*dead, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    upstream = Upstream(Names(), True, Timeouts(connect=5))
    await upstream.start()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://many.example:{listener.getsockname()[1]}/"
        for _ in range(2):
            sent = asyncio.Event()
            call = asyncio.create_task(upstream.post(url, {}, b"", sent.set))
            await asyncio.wait_for(sent.wait(), 5)
            call.cancel()
    assert asked == ["many.example"]
    await upstream.close()
