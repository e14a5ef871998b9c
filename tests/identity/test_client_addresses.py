"""The address that a login comes from, however a proxy writes it: one client has one limit."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api import Api
from tests.identity.logins import PER_MINUTE, PROXY_SECRET, login, statuses, windows
from tests.processes import Server, Valkey, eventually


def clients(valkey: Valkey, api: Api) -> set[str]:
    """Those whose logins are counted."""
    counted = windows(valkey, api)
    return {window.removeprefix("minute:") for window in counted if window.startswith("minute:")}


def forwarded(api: Api, value: str) -> int:
    """The status of a login that the proxy, by its secret, says came from there."""
    return login(api, forwarded=f"for={value};secret={PROXY_SECRET}").status_code


def test_a_client_cannot_choose_its_address(limited: Api) -> None:
    """What the proxy adds comes last; all before it is the client's own invention."""
    invented = [f"198.51.100.{number}, 192.0.2.1" for number in range(PER_MINUTE + 1)]
    assert [statuses(limited, text, 1) for text in invented][-1] == [429]
    for headers in (
        [("x-forwarded-for", "198.51.100.9"), ("x-forwarded-for", "192.0.2.1")],
        [("x-forwarded-for", "192.0.2.1"), ("x-real-ip", "198.51.100.9")],
        [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=198.51.100.9;secret=guess")],
    ):
        reply = limited.client.post(f"/{limited.tenant_id}/auth/anonymous", headers=headers)
        assert reply.status_code == 429


def test_a_forwarded_header_counts_with_the_secret(limited: Api, valkey: Valkey) -> None:
    found = [forwarded(limited, '"192.0.2.7"') for _ in range(PER_MINUTE + 1)]
    assert found == [200] * PER_MINUTE + [429]
    assert forwarded(limited, '"[2001:db8::1]"') == 200
    assert clients(valkey, limited) == {"192.0.2.7/32", "2001:db8::/64"}


@pytest.mark.parametrize(
    "invented",
    ["for=198.51.100.9", 'for="', 'for="; for=198.51.100.9', 'x="a, ";for=1;secret=guess'],
)
def test_what_the_client_writes_before_it_does_not_matter(
    limited: Api, valkey: Valkey, invented: str
) -> None:
    told = f"{invented}, for=192.0.2.7:4711;secret={PROXY_SECRET}"
    assert login(limited, forwarded=told).status_code == 200
    assert clients(valkey, limited) == {"192.0.2.7/32"}


AN_IPV4 = [
    *("192.0.2.5", "192.0.2.5:5678", '"192.0.2.5:5678"', '"192.0.2.5"', "192.0.2.5:_port"),
    *("::ffff:192.0.2.5", "::FFFF:c000:205", "[::ffff:192.0.2.5]:5678", "::ffff:192.0.2.5:5678"),
    *("64:ff9b::192.0.2.5", "[64:ff9b::c000:205]:5678", "64:ff9b:1::192.0.2.5"),
    *("64:ff9b:1:fffe::c000:205", "::ffff:0:192.0.2.5", "2002:c000:205::1"),
    *("2002:c000:205:ffff::1", "[2002:c000:205:1:2:3:4:5]:5678"),
    "2001:0:4136:e378:8000:63bf:3fff:fdfa",
]
AN_IPV6 = [
    *("2001:db8:1:2::1", "[2001:db8:1:2::2]", "[2001:db8:1:2::3]:5678", '"[2001:db8:1:2::7]"'),
    *("2001:DB8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6:5678", "2001:db8:1:2::5%eth0"),
    *("[2001:db8:1:2::6%25eth0]:5678", '"[2001:db8:1:2::4]:5678"'),
]
WRITTEN = [
    *((text, "192.0.2.5/32") for text in AN_IPV4),
    *((text, "2001:db8:1:2::/64") for text in AN_IPV6),
]


@pytest.mark.parametrize(("text", "client"), WRITTEN)
def test_one_client_has_one_limit_however_its_address_is_written(
    limited: Api, valkey: Valkey, text: str, client: str
) -> None:
    assert statuses(limited, text, 1) == [200]
    assert forwarded(limited, text) == 200
    assert clients(valkey, limited) == {client}


def test_other_clients_have_others(limited: Api, valkey: Valkey) -> None:
    """They would share one if the part that is not theirs were taken for the client."""
    different = [
        *("192.0.2.1:1", "192.0.2.2:1", "64:ff9b::192.0.2.3", "64:ff9b::192.0.2.4"),
        *("2002:c000:205::1", "2002:c000:206::1", "2001:db8:1:3::1", "2001:db8:1:4::1"),
        *("2001:0:4136:e378:8000:63bf:3fff:fdf8", "2001:0:4136:e378:8000:63bf:3fff:fdf7"),
    ]
    for text in different:
        assert statuses(limited, text, 1) == [200]
    assert len(clients(valkey, limited)) == len(different)


@pytest.mark.parametrize(
    "garbage",
    [
        *("unknown", "_hidden", "-", "localhost", "192.0.2", "192.0.2.256", "192.0.2.5.6:80"),
        *("::g", "[]", "[]:80", ":80", ":", "%", '"', "192.0.2.5;80", "1:2:3:4:5:6:7:8:9:10"),
        "a" * 5_000,
    ],
)
def test_garbage_is_counted_for_the_proxy(limited: Api, valkey: Valkey, garbage: str) -> None:
    assert statuses(limited, garbage, 1) == [200]
    assert clients(valkey, limited) == {"127.0.0.1/32"}


@pytest.fixture
def undeclared(valkey: Valkey, tmp_path: Path) -> Iterator[tuple[Server, Api]]:
    """A server that is not told of a proxy."""
    with (
        Server(tmp_path / "out", REDIS_URL=valkey.url, ANONYMOUS_LOGINS_PER_MINUTE="1") as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        yield server, Api.new_tenant(client)


def test_without_a_declared_proxy_loopback_is_exempt_and_a_warning_says_so_once(
    undeclared: tuple[Server, Api], valkey: Valkey
) -> None:
    server, api = undeclared
    assert [login(api).status_code for _ in range(3)] == [200] * 3
    assert "[WARN]" not in server.text()
    assert statuses(api, "192.0.2.1", 3) == [200] * 3
    eventually(lambda: "[WARN]" in server.text())
    assert login(api, via="1.1 proxy").status_code == 200
    assert server.text().count("[WARN]") == 1
    assert "X-Forwarded-For" in server.text()
    assert windows(valkey, api) == set()


@pytest.mark.parametrize("header", ["Forwarded", "X-Real-IP", "Via", "CF-Connecting-IP"])
def test_any_proxy_is_noticed(undeclared: tuple[Server, Api], header: str) -> None:
    server, api = undeclared
    assert login(api, **{header: "192.0.2.1"}).status_code == 200
    eventually(lambda: f"[WARN] A request carries {header}, but" in server.text())
