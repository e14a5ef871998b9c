"""Where a sign-in by redirect may go back to, and with what it begins."""

from urllib.parse import urlencode

import pytest

from server.login_providers.pkce import challenge_of
from tests.api import Api, config
from tests.login_providers.signing import GROUP, PROVIDERS, App
from tests.login_providers.trip import (
    HOME,
    REDIRECT_URIS,
    Trip,
    address,
    assert_no_trace,
    assert_no_way_back,
    waiting,
)
from tests.processes import Valkey

VARIANTS = [
    *("https://app.example.com/signed-in/", "https://app.example.com/signed-in/x"),
    *("https://app.example.com/", "https://app.example.com", "https://app.example.com/signed-i"),
    *("https://app.example.com/signed-in?", "https://app.example.com/signed-in?code=c"),
    *("https://app.example.com/signed-in#", "https://app.example.com/signed-in#x"),
    *("https://app.example.com:443/signed-in", "https://app.example.com:8443/signed-in"),
    *("http://app.example.com/signed-in", "HTTPS://app.example.com/signed-in"),
    *("https://APP.example.com/signed-in", "https://app.example.com/Signed-In"),
    *("https://app.example.com/./signed-in", "https://app.example.com/x/../signed-in"),
    *("https://app.example.com//signed-in", "https://app.example.com/signed%2din"),
    *("https://app.example.com%2fsigned-in", "https://app.example.com\\signed-in"),
    *("https://a@app.example.com/signed-in", "https://app.example.com@evil.example/signed-in"),
    *("https://app.example.com.evil.example/signed-in", "https://evil.example/signed-in"),
    *("//app.example.com/signed-in", "/signed-in", "app.example.com/signed-in", ""),
    *(" https://app.example.com/signed-in", "https://app.example.com/signed-in "),
    *("https://app.example.com/signed-in\r\nx: y", "https://app.example.com/signed-in\0"),
    *("javascript:alert(1)//https://app.example.com/signed-in", "data:text/html,x"),
    *("https://app.example.com./signed-in", "https://xn--app.example.com/signed-in"),
    *("com.example.app:/signed-in/", "com.example.app://signed-in", "com.example.app2:/signed-in"),
    *("intent://signed-in/#Intent;scheme=exampleapp;package=com.evil;end", "intent://signed-in/"),
    # Any port is only for 127.0.0.1 and [::1] that are listed without.
    *("http://127.0.0.1:5174/fixed", "http://127.0.0.1/fixed", "http://localhost:5173/in"),
    *("http://127.0.0.1:0/in", "http://127.0.0.1:65536/in", "http://127.0.0.1:080/in"),
    *(
        "http://127.0.0.1:/in",
        "http://127.0.0.1:80",
        "http://127.0.0.1:80/in/",
        "http://[::1]:x/in",
    ),
    *("http://127.0.0.1:80@evil.example/in", "http://127.0.0.1:80:81/in", "http://127.0.0.2:80/in"),
    *("https://127.0.0.1:80/in", "http://127.1:80/in", "http://2130706433:80/in"),
    *("http://127.0.0.1:80\\@evil.example/in", "http://127.0.0.1:80/in\n", "http://[::1]:80in"),
    *("http://[0:0:0:0:0:0:0:1]:80/in", "http://[::ffff:127.0.0.1]:80/in", "x" * 501),
]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_addresses_that_are_nearly_the_apps(site: App, valkey: Valkey, provider: str) -> None:
    trip = Trip(site.api, provider)
    for variant in VARIANTS:
        reply = trip.start(redirectUri=variant)
        assert reply.status_code == 422, variant
        assert [detail["path"] for detail in reply.json()["details"]] == ["redirectUri"]
        assert "location" not in reply.headers
        assert_no_trace(reply)
    assert not waiting(valkey, site)


def test_addresses_are_the_tenants_own(site: App) -> None:
    other = App(site.api.client, site.double, redirect_uris=["https://other.example/in"])
    assert Trip(other.api).start().status_code == 422
    assert Trip(site.api, redirect_uri="https://other.example/in").start().status_code == 422
    assert Trip(App(site.api.client, site.double).api).start().status_code == 422, "none is listed"


def test_an_address_that_is_no_longer_listed_is_not_gone_back_to(site: App, valkey: Valkey) -> None:
    trip = Trip(site.api)
    given = trip.agree()
    auth = {**site.auth, "redirect_uris": REDIRECT_URIS[1:]}
    assert site.api.put_config(config(**GROUP) | {"auth": auth}).status_code == 200
    assert_no_way_back(trip.come_back(given))
    assert not waiting(valkey, site)


WRONG: dict[str, list[str]] = {
    "codeChallenge": [
        *("", "c" * 42, "c" * 44, "c" * 42 + "="),
        *("c" * 42 + odd for odd in ("+", "/", "\n", "é")),
    ],
    "state": ["", "s" * 513, "a b", "é", "a\nb", "\0"],
}


def test_starts_that_are_wrong(site: App, valkey: Valkey) -> None:
    for name, values in WRONG.items():
        for value in values:
            reply = Trip(site.api).start(**{name: value})
            assert reply.status_code == 422, (name, value)
            assert [detail["path"] for detail in reply.json()["details"]] == [name]
    reply = Trip(site.api).get("/auth/google/start", {})
    assert [detail["path"] for detail in reply.json()["details"]] == [
        *("redirectUri", "codeChallenge", "state"),
    ]
    assert not waiting(valkey, site)


@pytest.mark.parametrize("path", ["start", "callback"])
def test_queries_that_two_would_read_differently(site: App, valkey: Valkey, path: str) -> None:
    trip = Trip(site.api)
    challenge = challenge_of(trip.verifier)
    query = {"redirectUri": HOME, "codeChallenge": challenge, "state": trip.state}
    if path == "callback":
        query = trip.agree()
    before = waiting(valkey, site)
    for odd in ("&state=x", "&redirectUri=https://evil.example/&redirectUri=x", "&x=%ff"):
        url = f"/{site.api.tenant_id}/auth/google/{path}?{urlencode(query)}{odd}"
        if "redirectUri" in odd and path == "start":
            url = url.replace(odd, "&redirectUri=https://evil.example/")
        reply = site.api.client.get(url, headers=address())
        assert (reply.status_code, reply.json()) == (400, {"error": "Bad Request"}), url
    assert waiting(valkey, site) == before


def test_a_server_that_does_not_know_its_address(api: Api) -> None:
    """Without PUBLIC_URL."""
    auth = {"google_oauth": {"client_id": "web"}, "redirect_uris": [HOME]}
    assert api.put_config(config(**GROUP) | {"auth": auth}).status_code == 200
    query = {"redirectUri": HOME, "codeChallenge": "c" * 43, "state": "s"}
    for step in ("start", "callback"):
        reply = api.client.get(f"/{api.tenant_id}/auth/google/{step}", params=query)
        assert (reply.status_code, reply.json()) == (404, {"error": "Not Found"})
