"""The official SDKs as an app sets them up, and a tap on what passes to and from the server."""

import base64
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx
import openai

from tests.acceptor import Acceptor
from tests.api import Api, User
from tests.doubles import Call, Double
from tests.endpoints import PROVIDER_KEY, endpoint, text_config
from tests.processes import eventually

PROTOCOLS = ("openai", "anthropic")
PNG = base64.b64encode(b"no real image").decode()

_BACKLOG = 64
_PIECE_BYTES = 65_536
_OF_THE_TENANT = re.compile(
    rb"org-of-the-tenant|req_0123456789|openai-(?:organization|processing|version)|x-ratelimit-|"
    rb"anthropic-(?:ratelimit|organization)|" + PROVIDER_KEY.encode(),
    re.IGNORECASE,
)


class Tap(Acceptor):
    """Between a client and the server at `url`; keeps the bytes of both directions."""

    def __init__(self, url: str) -> None:
        super().__init__(_BACKLOG)
        target = urlsplit(url)
        self._target = (str(target.hostname), int(target.port or 80))
        self.attempts: list[float] = []
        """When each request began, by time.monotonic."""
        self.replies = bytearray()

    def accepted(self, connection: socket.socket) -> None:
        server = socket.create_connection(self._target)
        for source, sink in ((connection, server), (server, connection)):
            threading.Thread(
                target=self._pump, args=(source, sink, connection), daemon=True
            ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, client: socket.socket) -> None:
        try:
            while data := source.recv(_PIECE_BYTES):
                if source is not client:
                    self.replies += data
                elif data.startswith((b"POST ", b"GET ")):
                    self.attempts.append(time.monotonic())
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for connection in (source, sink):
                connection.close()

    def secrets(self) -> list[bytes]:
        """What is the tenant's own, in any header or body of the replies."""
        return _OF_THE_TENANT.findall(bytes(self.replies))


@dataclass(frozen=True)
class Sdks:
    """For a user of a tenant."""

    tap: Tap
    user: User

    @property
    def base_url(self) -> str:
        """As Anthropic's SDKs take it; OpenAI's with /v1."""
        return f"{self.tap.url}/{self.user.api.tenant_id}"

    def settings(self, path: str = "", **settings: Any) -> dict[str, Any]:
        """Of any SDK's client; `path` is added to the base URL."""
        usual = {"api_key": self.user.api_key, "max_retries": 0, "timeout": 20}
        return {**usual, "base_url": self.base_url + path, **settings}

    def chat(self, **settings: Any) -> openai.OpenAI:
        return openai.OpenAI(**self.settings("/v1", **settings))

    def async_chat(self, **settings: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(**self.settings("/v1", **settings))

    def claude(self, **settings: Any) -> anthropic.Anthropic:
        return anthropic.Anthropic(**self.settings(**settings))

    def async_claude(self, **settings: Any) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(**self.settings(**settings))

    def gaps(self) -> list[float]:
        """Seconds between the beginnings of the requests."""
        return [later - earlier for earlier, later in pairwise(self.tap.attempts)]

    def retry_after(self) -> int:
        """Seconds, of the one reply that said so."""
        [seconds] = re.findall(rb"\r\nretry-after: (\d+)\r\n", self.tap.replies, re.IGNORECASE)
        return int(seconds)

    def assert_charged(self, tokens: int) -> None:
        """In all, since the login; and nothing is held."""
        eventually(lambda: self.user.balance()["tokensHeld"] == 0)
        assert self.user.balance()["tokensUsed"] == tokens

    def assert_estimated(self) -> None:
        """The last call has cost something, of which the ledger says that nobody reported it."""
        eventually(lambda: self.user.balance()["tokensHeld"] == 0)
        assert self.user.balance()["tokensUsed"] > 0
        [newest, *_] = self.user.api.get("/ledger", self.user.headers).json()["entries"]
        assert newest["ref"]["estimated"] is True


@dataclass(frozen=True)
class App(Sdks):
    """Their provider is a double."""

    double: Double

    def last_call(self, key: str) -> Call:
        """What the double was asked last with this key, when it has ended."""
        eventually(lambda: self.double.calls(key) and self.double.calls(key)[-1].ended)
        return self.double.calls(key)[-1]


@contextmanager
def sdks_at(
    url: str,
    provider_url: str,
    protocol: str = "openai",
    *,
    group: dict[str, int] | None = None,
    **members: Any,
) -> Iterator[Sdks]:
    """For a user of a new tenant of the server at `url`; `members` are the endpoint's, `group`
    changes the user's group. At the end, nothing that came may be of the tenant's own."""
    usual = {"tokens": 100_000, "rate_limit": 10_000, "rate_limit_window": 60}
    endpoints = {"main": endpoint(provider_url, protocol, **members)}
    config = text_config(endpoints, anonymous={**usual, **(group or {})})
    with httpx.Client(base_url=url, timeout=20) as client, Tap(url) as tap:
        yield Sdks(tap, Api.new_tenant(client, config).login())
        assert tap.secrets() == []


@contextmanager
def app_at(url: str, double: Double, protocol: str = "openai", **others: Any) -> Iterator[App]:
    """As sdks_at."""
    with sdks_at(url, double.url, protocol, **others) as sdks:
        yield App(sdks.tap, sdks.user, double)
