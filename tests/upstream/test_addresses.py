"""Which addresses are public, and what is wrong with a URL or with what its host resolves to."""

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from server.upstream import addresses
from server.upstream.addresses import fault_of_host, fault_of_url, faults_of_urls, is_public
from server.upstream.names import LOOK_UPS_OF_A_TENANT, Names
from tests.silent_names import SilentNames

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "168.63.129.15",
    "172.15.255.255",
    "172.32.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]
NOT_PUBLIC = {
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12::1"],
    "carrier's": ["100.64.0.1", "100.127.255.255"],
    "link-local": ["169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1"],
    "metadata": [
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    ],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "broadcast": ["255.255.255.255"],
    "reserved": ["240.0.0.1", "198.18.0.1", "198.19.255.255", "192.88.99.1", "4000::1", "5f00::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::ffff:10.0.0.1"],
    "IPv4-compatible": ["::127.0.0.1", "::8.8.8.8", "::ffff:0:7f00:1"],
    "6to4": ["2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::169.254.169.254", "64:ff9b:1::1", "64:ff9b:1::808:808"],
    "Teredo": ["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "scoped": ["2606:4700:4700::1111%eth0", "::1%lo"],
    "no address": ["", "localhost", "127.1", "0177.0.0.1", "1.2.3.4.5", "1.1.1.1 ", ":", "::g"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [pytest.param(it, id=f"{kind} {it}") for kind, found in NOT_PUBLIC.items() for it in found],
)
def test_other_addresses(address: str) -> None:
    assert not is_public(address)


GOOD = [
    "https://api.openai.com/v1/chat/completions",
    "https://api.openai.com",
    "HTTPS://API.OpenAI.com:443/v1/chat/completions?a=b%20c",
    "https://api.openai.com./v1/messages",
    "https://my_host.example.com:65535/",
    "https://bücher.example/v1/ä",
    "https://8.8.8.8/v1/messages",
    "https://[2606:4700:4700::1111]:8443/v1/messages",
    "https://" + "a" * 63 + ".example/",
    "https://1.2.3.4.example/",
]
LOCAL = [
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://10.1.2.3:8443/v1/messages",
    "https://169.254.169.254/latest/meta-data/",
    "https://168.63.129.16/",
    "https://0.0.0.0/",
    "https://localhost/",
    "https://LOCALHOST:8443/",
    "https://localhost./",
    "https://api.localhost/",
    "https://１２７.0.0.1/",
    "https://①②⑦.0.0.1/",
    "https://127。0。0。1/",
    "https://ｌｏｃａｌｈｏｓｔ/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[fd00:ec2::254]/",
]
BAD = [
    "",
    "api.openai.com",
    "//api.openai.com/",
    "/v1/messages",
    "https:/api.openai.com/",
    "https://",
    "https:///v1",
    "https://:443/",
    "https://./",
    "https://a..example/",
    "https://.example/",
    "https://" + "a" * 64 + ".example/",
    "https://exa%6dple.com/",
    "https://127%2e0.0.1/",
    "https://a,b.example/",
    "https://a\u2100.example/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "wss://example.com/",
    "unix:/run/docker.sock",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://@example.com/",
    "https://example.com@127.0.0.1/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:-1/",
    "https://example.com:http/",
    "https://example.com:4 43/",
    " https://example.com/",
    "https://example.com/ ",
    "https://exam\nple.com/",
    "https://example.com/\r\nHost: other",
    "https://example.com/\x00",
    "https://example.com/\x7f",
    "https://example.com/\u00a0",
    "https://example.com/\u200b",
    "https://example.com/\ud800",
    "https://example.com\\@127.0.0.1/",
    "https://[::1",
    "https://[::1]x/",
    "https://[g::1]/",
    "https://[v1.abc]/",
    "https://[127.0.0.1]/",
    "https://[fe80::1%25eth0]/",
    "https://x[::1]/",
    "https://2130706433/",
    "https://134744072/",
    "https://0x7f.1/",
    "https://0x7f000001/",
    "https://127.1/",
    "https://127.0.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.0.0.1.1/",
    "https://256.1.1.1/",
    "https://a.127/",
    "https://0/",
]


@pytest.mark.parametrize("url", GOOD)
def test_good_urls(url: str) -> None:
    assert fault_of_url(url, False) is None
    assert fault_of_url(url, True) is None


@pytest.mark.parametrize("url", LOCAL)
def test_urls_of_private_addresses_are_good_if_those_are_allowed(url: str) -> None:
    assert fault_of_url(url, False) == "must not have a private, local or reserved address"
    assert fault_of_url(url, True) is None


@pytest.mark.parametrize("url", BAD)
def test_bad_urls(url: str) -> None:
    assert fault_of_url(url, False)
    assert fault_of_url(url, True)


def test_http_is_good_if_private_addresses_are_allowed() -> None:
    assert fault_of_url("http://api.openai.com/v1", False) == "must begin with https://"
    assert fault_of_url("http://api.openai.com/v1", True) is None


def test_a_url_has_at_most_2048_characters() -> None:
    longest = "https://example.com/".ljust(2048, "a")
    assert fault_of_url(longest, False) is None
    assert fault_of_url(longest + "a", False)


Resolver = Callable[[str], list[str]]


def resolve_by(monkeypatch: pytest.MonkeyPatch, resolver: Resolver) -> list[str]:
    """The look-ups are answered by `resolver` until the test's end; the names looked up."""
    names: list[str] = []

    def getaddrinfo(host: str, port: None, **_: Any) -> list[Any]:
        names.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in resolver(host)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


@pytest.mark.parametrize(
    ("found", "is_good"),
    [
        (["8.8.8.8"], True),
        (["8.8.8.8", "2606:4700:4700::1111"], True),
        (["127.0.0.1"], False),
        (["8.8.8.8", "10.0.0.1"], False),
        (["2606:4700:4700::1111", "::ffff:169.254.169.254"], False),
        (["fe80::1%eth0"], False),
    ],
)
async def test_all_of_a_hosts_addresses_must_be_public(
    monkeypatch: pytest.MonkeyPatch, found: list[str], is_good: bool
) -> None:
    resolve_by(monkeypatch, lambda _: found)
    assert (await fault_of_host("https://example.com/", "abc", Names()) is None) == is_good


async def test_the_systems_own_resolver_is_asked() -> None:
    assert await fault_of_host("https://localhost/", "abc", Names())
    assert await fault_of_host("https://2130706433/", "abc", Names())
    assert await fault_of_host("https://[::1]/", "abc", Names())


async def test_a_name_that_does_not_resolve_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    resolve_by(monkeypatch, fail)
    assert await fault_of_host("https://nowhere.example/", "abc", Names()) is None


async def test_slow_look_ups_are_given_up_all_at_the_same_time(
    monkeypatch: pytest.MonkeyPatch, silent_names: SilentNames
) -> None:
    """And leave no others that wait for their turn: a config has room for 1,000 names."""
    monkeypatch.setattr(addresses, "LOOK_UP_SECONDS", 0.3)
    urls = {"in": "https://[::1]/", "bad": "https://0/"}
    urls |= {f"again{port}": f"https://0.silent.example:{port}/" for port in range(1, 50)}
    urls |= {f"slow{n}": f"https://{n}.silent.example/" for n in range(1_000)}
    names, started = Names(), time.monotonic()
    faults = await faults_of_urls(urls, "abc", names, False)
    assert time.monotonic() - started < 5, "not one after the other"
    assert set(faults) == {"in", "bad"}
    assert len(set(silent_names.asked)) == len(silent_names.asked) == LOOK_UPS_OF_A_TENANT
    assert await faults_of_urls(urls, "abc", names, True) == {"bad": faults["bad"]}


async def test_many_names_of_one_config_are_all_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_by(monkeypatch, lambda name: ["10.0.0.1"] if name.startswith("in") else ["8.8.8.8"])
    urls = {
        f"{where}{n}": f"https://{where}{n}.example/" for where in ("in", "out") for n in range(99)
    }
    faults = await faults_of_urls(urls, "abc", Names(), False)
    assert set(faults) == {f"in{n}" for n in range(99)}


async def test_names_of_other_alphabets_are_looked_up_in_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = resolve_by(monkeypatch, lambda _: ["8.8.8.8"])
    assert await fault_of_host("https://bücher.example/", "abc", Names()) is None
    assert names == ["xn--bcher-kva.example"]
