"""Logins are refused before Redis is full, so that there is memory for those who have logged in."""

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from server.errors import RedisNearlyFull, Unavailable
from server.identity import reserve
from server.identity.reserve import Reserve
from server.store.store import Store
from tests.api import Api, User, config
from tests.fullness import REFUSED, fill, use
from tests.login_providers.trip import HOME, Trip
from tests.metrics.scrape import scrape
from tests.processes import Server, Valkey, eventually, until

WORKERS = 2


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Valkey]:
    with Valkey(tmp_path / "valkey") as valkey:
        fill(valkey.client)
        use(valkey.client, 70)
        yield valkey


def logins(server: Server, api: Api) -> set[int]:
    """The statuses of some, each on a connection of its own, so that all workers get some."""
    path = f"{server.url}/{api.tenant_id}/auth/anonymous"
    return {httpx.post(path).status_code for _ in range(5 * WORKERS)}


def spend(user: User) -> None:
    """Whatever moves tokens."""
    assert user.charge(1).status_code == 200
    hold = user.hold({"tokens": 5})
    assert hold.status_code == 201
    assert user.settle(hold.json()["holdId"], 3).status_code == 200
    assert user.grant({"tokens": 4}).status_code == 200


def test_logins_are_refused_first_and_money_goes_on(full: Valkey, tmp_path: Path) -> None:
    with (
        Server(
            tmp_path / "out",
            REDIS_URL=full.url,
            WORKERS=str(WORKERS),
            PUBLIC_URL="http://localhost",
        ) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        auth = {"google_oauth": {"client_id": "app", "group": "paid"}, "redirect_uris": [HOME]}
        api = Api.new_tenant(client, config() | {"auth": auth})
        user = api.login()
        assert logins(server, api) == {200}
        use(full.client, 90)
        eventually(lambda: logins(server, api) == {503})
        keys = full.client.dbsize()
        reply = api.post("/auth/anonymous")
        assert (reply.status_code, reply.json()) == (503, {"error": "Service Unavailable"})
        assert int(reply.headers["retry-after"]) >= 1
        trip = Trip(api)
        for reply in (trip.start(), trip.exchange("code")):
            assert (reply.status_code, reply.json()) == (503, {"error": "Service Unavailable"})
        assert full.client.dbsize() == keys
        spend(user)
        eventually(lambda: scrape(client).value("vibe_logins_suspended") == WORKERS)
        refused = {"tenant": api.tenant_id, "outcome": "redis_nearly_full"}
        assert scrape(client).value("vibe_logins_total", **refused) >= 1

        # When Redis cannot say, what it said last holds.
        full.client.client_kill_filter(_type="normal", skipme=True)
        eventually(lambda: user.charge(1).status_code == 200)
        assert logins(server, api) == {503}
        assert "served again" not in server.text()

        use(full.client, 60)
        eventually(lambda: logins(server, api) == {200})
        eventually(lambda: scrape(client).value("vibe_logins_suspended") == 0)
        # Once, although there are two workers.
        eventually(lambda: server.text().count("% of its maxmemory: logins are served again") == 1)
        assert server.text().count(REFUSED) == 1, server.text()
        assert "[ERROR] Redis uses " in server.text()


def test_the_share_is_a_setting(full: Valkey, tmp_path: Path) -> None:
    settings = {"REDIS_URL": full.url, "LOGINS_MEMORY_SHARE": "60"}
    with (
        Server(tmp_path / "out", wait=True, **settings) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        api = Api.new_tenant(client)
        eventually(lambda: api.post("/auth/anonymous").status_code == 503)
        use(full.client, 50)
        eventually(lambda: api.post("/auth/anonymous").status_code == 200)


@pytest.mark.parametrize(("maxmemory", "warnings"), [("0", 1), ("1gb", 0)])
def test_a_redis_without_a_bound_is_told_of_once(
    tmp_path: Path, maxmemory: str, warnings: int
) -> None:
    with (
        Valkey(tmp_path / "valkey", maxmemory=maxmemory) as valkey,
        Server(tmp_path / "out", REDIS_URL=valkey.url, WORKERS="2") as server,
    ):
        assert server.text().count("[WARN] Redis has no maxmemory") == warnings
        assert httpx.post(f"{server.url}/abc/auth/anonymous").status_code == 200


class Full(Store):
    """A Redis that says how full it is, one answer after the other; the last one for ever."""

    def __init__(self, *answers: float | Exception) -> None:
        self._answers = iter(answers)
        self._last: float = 0
        self.is_told = False

    async def memory_percent(self) -> float:
        answer = next(self._answers, None)
        self.is_told = answer is None
        if isinstance(answer, Exception):
            raise answer
        self._last = self._last if answer is None else answer
        return self._last


async def refuses_after(monkeypatch: pytest.MonkeyPatch, *answers: float | Exception) -> bool:
    monkeypatch.setattr(reserve, "LOOK_SECONDS", 0)
    store = Full(*answers)
    watching = Reserve(store, 80)
    watching.start()
    await until(lambda: store.is_told)
    await watching.close()
    try:
        watching.admit_login()
    except RedisNearlyFull:
        return True
    return False


@pytest.mark.parametrize(
    ("answers", "refuses"),
    [
        ([80.0], False),
        ([80.1], True),
        ([80.1, 79.9], True),  # not again and again, as single users come and go
        ([80.1, 78.0], False),
        ([80.1, Unavailable("away")], True),
        ([Unavailable("away"), 80.1], True),
        ([80.1, 0.0], False),  # its maxmemory was taken away
    ],
)
async def test_when_logins_are_refused(
    monkeypatch: pytest.MonkeyPatch, answers: list[float | Exception], refuses: bool
) -> None:
    assert await refuses_after(monkeypatch, *answers) is refuses


async def test_what_nobody_foresaw_does_not_end_the_watching(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert await refuses_after(monkeypatch, KeyError("unforeseen"), 90.0)
    messages = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert messages[0] == "Watching the memory of Redis failed, and goes on"
    assert len(messages) == 2
