"""The load test passes when all is well, and fails when a sum is wrong or a reply is 5xx."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.api import Api, config
from tests.doubles import Double
from tests.load.__main__ import GROUP
from tests.processes import ADMIN_TOKEN, Process, Server, Valkey, eventually

SECONDS, USERS = 3, 8


@dataclass(frozen=True)
class Deployed:
    """A server that somebody else has started."""

    valkey: Valkey
    server: Server

    def new_tenant(self) -> str:
        with httpx.Client(base_url=self.server.url) as client:
            return Api.new_tenant(client, config(anonymous=GROUP)).tenant_id

    def users(self) -> list[str]:
        """The API keys of all users."""
        return [str(name).removeprefix("apiKey:") for name in self.valkey.client.keys("apiKey:*")]


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployed]:
    with (
        Valkey(tmp_path / "valkey") as valkey,
        Server(
            tmp_path / "server.out",
            REDIS_URL=valkey.url,
            REDIS_TIMEOUT="0.5",
            ALLOW_PRIVATE_UPSTREAMS="1",
        ) as server,
    ):
        yield Deployed(valkey, server)


@contextmanager
def loading(folder: Path, url: str, *options: str) -> Iterator[Process]:
    sizes = ["--seconds", str(SECONDS), "--users", str(USERS), "--html", str(folder / "load.html")]
    command = [sys.executable, "-m", "tests.load", "--url", url, *sizes, *options]
    with Process(command, {}, folder / "load.out") as process:
        yield process


def test_it_passes_and_deletes_its_tenant(deployed: Deployed, tmp_path: Path) -> None:
    url = deployed.server.url
    with Double() as double:
        options = ("--admin-token", ADMIN_TOKEN, "--provider", double.url)
        with loading(tmp_path, url, *options) as load:
            assert load.wait() == 0, load.text()
        assert double.calls()
    assert " 0 sums are wrong" in load.text()
    assert (tmp_path / "load.html").stat().st_size > 0
    tenants = httpx.get(f"{url}/tenants", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    assert tenants.json() == {"tenants": ["abc"]}


def test_a_charge_that_no_user_was_told_of_fails_it(deployed: Deployed, tmp_path: Path) -> None:
    url, tenant_id = deployed.server.url, deployed.new_tenant()
    with loading(tmp_path, url, "--tenant", tenant_id) as load:
        eventually(deployed.users)
        stolen = {"Authorization": f"Bearer {deployed.users()[0]}"}
        assert httpx.post(f"{url}/{tenant_id}/charges", headers=stolen).status_code == 200
        assert load.wait() == 1, load.text()
    assert " 1 sums are wrong" in load.text()


def test_a_reply_of_503_fails_it(deployed: Deployed, tmp_path: Path) -> None:
    with loading(tmp_path, deployed.server.url, "--tenant", deployed.new_tenant()) as load:
        eventually(deployed.users)
        deployed.valkey.send_signal(signal.SIGSTOP)
        try:
            assert load.wait() == 1, load.text()
        finally:
            deployed.valkey.send_signal(signal.SIGCONT)
    assert "status 503" in load.text()
