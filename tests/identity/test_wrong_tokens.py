"""Wrong admin tokens: limited by client, the right one always served, the operator told."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api import ADMIN, Api
from tests.hurried import Hurried
from tests.metrics.scrape import scrape
from tests.processes import ADMIN_TOKEN, Server, Valkey, eventually
from tests.raw import exchange

WRONG = {"Authorization": f"Bearer {ADMIN_TOKEN}x"}
TOLD = re.compile(r"^\[WARN\] (\d+) requests with a wrong admin token .* from (\S+)$", re.MULTILINE)
GOOD_BYE = b"GET /livez HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
UNAUTHORIZED = [401] * 10


@pytest.fixture(scope="module")
def server(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("server") / "out"
    with Server(output, REDIS_URL=valkey.url, PROXIES_COUNT="1") as server:
        yield server


def statuses(client: httpx.Client, address: str, number: int, path: str = "/tenants") -> list[int]:
    """Of so many requests with a wrong token."""
    headers = WRONG | {"X-Forwarded-For": address}
    return [client.get(path, headers=headers).status_code for _ in range(number)]


def test_the_11th_wrong_one_of_a_client_is_429_and_the_right_one_is_served(
    client: httpx.Client,
) -> None:
    address = {"X-Forwarded-For": "192.0.2.1"}
    assert statuses(client, "192.0.2.1", 12) == [*UNAUTHORIZED, 429, 429]
    refused = client.get("/tenants", headers=WRONG | address)
    assert (refused.status_code, refused.json()) == (429, {"error": "Too Many Requests"})
    assert 50 <= int(refused.headers["retry-after"]) <= 60
    assert client.get("/tenants", headers=ADMIN | address).status_code == 200
    # Who gives none guesses nothing, and who comes from elsewhere has a limit of its own.
    assert client.get("/tenants", headers=address).status_code == 401
    assert statuses(client, "192.0.2.2", 11) == [*UNAUTHORIZED, 429]
    found = scrape(client)
    reason = "too_many_wrong_tokens"
    assert found.value("vibe_refusals_total", status=429, reason=reason) == 4


def test_every_route_of_the_administration_counts(api: Api) -> None:
    api.client.headers["X-Forwarded-For"] = "192.0.2.3"
    admin = f"/{api.tenant_id}/admin"
    routes = (
        *(("GET", "/tenants"), ("POST", "/tenants"), ("DELETE", "/tenants/x"), ("GET", "/metrics")),
        *(("GET", f"{admin}/config"), ("PUT", f"{admin}/config"), ("HEAD", f"{admin}/config")),
        *(("GET", f"{admin}/users/x"), ("POST", f"{admin}/users/x/grants")),
        ("DELETE", f"{admin}/keys/x"),
    )
    assert {api.client.request(*route, headers=WRONG).status_code for route in routes} == {401}
    assert {api.client.request(*route, headers=WRONG).status_code for route in routes} == {429}
    # They lock no user out.
    assert api.login().charge().status_code == 200


def test_an_ipv6_network_is_one_client(client: httpx.Client) -> None:
    found = [statuses(client, f"2001:db8:0:1::{number}", 1) for number in range(11)]
    assert found == [[status] for status in [*UNAUTHORIZED, 429]]
    assert statuses(client, "2001:db8:0:2::1", 1) == [401]


def test_loopback_is_a_client_too(valkey: Valkey, tmp_path: Path) -> None:
    with Server(tmp_path / "out", REDIS_URL=valkey.url) as server:
        with httpx.Client(base_url=server.url) as client:
            assert statuses(client, "192.0.2.1", 11) == [*UNAUTHORIZED, 429]
        server.stop()
        assert TOLD.findall(server.text()) == [("11", "127.0.0.1")]


def test_after_a_minute_they_are_told_in_one_line_and_forgotten(
    valkey: Valkey, tmp_path: Path
) -> None:
    minute = {"wrong_tokens": 3.0}  # time enough for all that is to be in it
    with (
        Hurried(tmp_path / "out", valkey.url, minute, PROXIES_COUNT="1") as server,
        httpx.Client(base_url=server.url) as client,
    ):
        assert statuses(client, "192.0.2.1", 11) == [*UNAUTHORIZED, 429]
        assert statuses(client, "192.0.2.2", 5) == [401] * 5
        assert TOLD.findall(server.text()) == []
        eventually(lambda: TOLD.findall(server.text()) == [("16", "192.0.2.2/32")])
        eventually(lambda: statuses(client, "192.0.2.1", 1) == [401])
        eventually(lambda: len(TOLD.findall(server.text())) == 2)


def test_many_clients_are_not_remembered(server: Server) -> None:
    """Only the last ones, so that they cost a bounded memory."""

    def flood(network: int, clients: int) -> None:
        for third in range(clients // 250):
            sent = b"".join(
                b"GET /tenants HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer wrong\r\n"
                b"X-Forwarded-For: 10.%d.%d.%d\r\n\r\n" % (network, third, fourth)
                for fourth in range(250)
            )
            replies = exchange(server.url, sent + GOOD_BYE)
            assert [reply.status for reply in replies] == [401] * 250 + [200]

    flood(1, 2_000)
    before = server.resident()
    flood(2, 6_000)  # each would take some 1 KB
    assert server.resident() - before < 3_000_000
