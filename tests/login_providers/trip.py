"""A sign-in by redirect, step by step: what the app does, and what its browser."""

import html
import random
import re
from ipaddress import IPv4Address
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from server.login_providers.pkce import challenge_of
from tests.api import Api
from tests.login_providers.signing import App
from tests.processes import Valkey

PUBLIC_URL = "https://api.example.com/vibe"
HOME = "https://app.example.com/signed-in"
REDIRECT_URIS = [
    HOME,
    "https://app.example.com/signed-in?tab=1",
    "http://127.0.0.1/in",
    "http://[::1]/in",
    "http://127.0.0.1:5173/fixed",
    "http://localhost/in",
    "com.example.app:/signed-in",
    "intent://signed-in/#Intent;scheme=exampleapp;package=com.example.app;end",
]

_chance = random.SystemRandom()


class Trip:
    """From the app to `provider` and back; the app's part of it is new."""

    def __init__(self, api: Api, provider: str = "google", redirect_uri: str = HOME) -> None:
        self.api, self.provider, self.redirect_uri = api, provider, redirect_uri
        self.verifier, self.state = token_urlsafe(48), f"state-{token_urlsafe(9)}&=#%"

    def start(self, **other: str) -> httpx.Response:
        query = {
            "redirectUri": self.redirect_uri,
            "codeChallenge": challenge_of(self.verifier),
            "state": self.state,
        }
        return self.get(f"/auth/{self.provider}/start", query | other)

    def leave(self) -> str:
        """The address of the provider's page."""
        reply = self.start()
        assert reply.status_code == 303, reply.text
        assert_no_trace(reply)
        return reply.headers["location"]

    def agree(self, page: str = "") -> dict[str, str]:
        """What the browser is to bring back from the provider."""
        reply = httpx.get(page or self.leave())
        if self.provider == "google":
            assert reply.status_code == 302, reply.text
            url, _, query = reply.headers["location"].partition("?")
            found = dict(parse_qsl(query))
        else:
            assert reply.status_code == 200, reply.text
            url = html.unescape(re.findall(r'action="([^"]+)"', reply.text)[0])
            fields = re.findall(r'name="(\w+)" value="([^"]*)"', reply.text)
            found = {name: html.unescape(value) for name, value in fields}
        assert url == f"{PUBLIC_URL}/{self.api.tenant_id}/auth/{self.provider}/callback"
        return found

    def come_back(self, given: dict[str, str] | None = None, **other: str) -> httpx.Response:
        """What this server says to it."""
        brought = (self.agree() if given is None else given) | other
        path = f"/auth/{self.provider}/callback"
        return self.get(path, brought) if self.provider == "google" else self.post(path, brought)

    def at_app(self, reply: httpx.Response) -> dict[str, str]:
        """What the app is told."""
        assert reply.status_code == 303, reply.text
        assert_no_trace(reply)
        location = reply.headers["location"]
        base, hash, rest = self.redirect_uri.partition("#")
        assert location.startswith(base)
        assert location.endswith(hash + rest)
        found = dict(parse_qsl(urlsplit(location.removesuffix(hash + rest)).query))
        assert found.pop("state") == self.state
        return found

    def code(self) -> str:
        found = self.at_app(self.come_back())
        assert found.keys() >= {"code"}, found
        return found["code"]

    def exchange(self, code: str, key: str = "", **body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        given = {"code": code, "codeVerifier": self.verifier, **body}
        return self.api.post("/auth/exchange", given, address() | headers)

    def get(self, path: str, query: Any) -> httpx.Response:
        url = f"/{self.api.tenant_id}{path}"
        return self.api.client.get(url, params=query, headers=address())

    def post(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        """As a browser posts a form of Apple's."""
        url = f"/{self.api.tenant_id}{path}"
        given = {"origin": "https://appleid.apple.com", **address(), **headers}
        return self.api.client.post(url, data=form, headers=given)


def address() -> dict[str, str]:
    """Of another client each time."""
    return {"x-forwarded-for": str(IPv4Address(_chance.getrandbits(32)))}


def assert_no_trace(reply: httpx.Response) -> None:
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in reply.headers


def waiting(valkey: Valkey, app: App) -> set[str]:
    """What waits of sign-ins by redirect."""
    names = (f"tenant:{app.api.tenant_id}:{what}:*" for what in ("auth", "code"))
    return {key for name in names for key in valkey.client.scan_iter(name, count=1000)}


def assert_no_way_back(reply: httpx.Response) -> None:
    assert (reply.status_code, reply.json()) == (400, {"error": "Invalid state"}), reply.text
    assert "location" not in reply.headers
    assert_no_trace(reply)
