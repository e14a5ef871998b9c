"""Sessions of voice as a client of the server has them."""

from typing import Any
from uuid import uuid4

import httpx
import orjson
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.api import ADMIN, Api, User
from tests.doubles.realtime import RealtimeDouble, Service
from tests.endpoints import voice_config

SECONDS = 10


def new_user(
    http: httpx.Client, double: RealtimeDouble, *services: Service, **members: Any
) -> tuple[User, str]:
    """A user of a tenant of its own, and its model, whose sessions go like this at the double;
    `members` as in voice_config."""
    model = f"m-{uuid4().hex[:12]}"
    if services:
        double.script(model, *services)
    value = voice_config(double.url, model=model, **members)
    return Api.new_tenant(http, value).login(), model


def config_of(user: User) -> dict[str, Any]:
    """Of its tenant."""
    reply = user.api.get("/admin/config", ADMIN)
    config: dict[str, Any] = reply.json()["config"]
    return config


def url_of(user: User, query: str = "") -> str:
    base = str(user.api.client.base_url).rstrip("/").replace("http", "ws", 1)
    return f"{base}/{user.api.tenant_id}/v1/realtime{query}"


def talk(
    user: User,
    query: str = "",
    headers: dict[str, str] | None = None,
    subprotocols: list[str] | None = None,
    **options: Any,
) -> ClientConnection:
    """`headers`: those of the user if None."""
    return connect(
        url_of(user, query),
        additional_headers=user.headers if headers is None else headers,
        subprotocols=None if subprotocols is None else [Subprotocol(name) for name in subprotocols],
        compression="deflate",
        proxy=None,
        open_timeout=SECONDS,
        legacy=True,
        **options,
    )


def refusal(user: User, query: str = "", **options: Any) -> Response:
    """The reply to a handshake that is refused."""
    try:
        talk(user, query, **options).close()
    except InvalidStatus as refused:
        return refused.response
    raise AssertionError("it was accepted")


def error_of(response: Response) -> dict[str, Any]:
    error: dict[str, Any] = orjson.loads(response.body)["error"]
    return error


def next_event(connection: ClientConnection, kind: str) -> dict[str, Any]:
    """The next one of this kind; those before it are dropped."""
    while True:
        event: dict[str, Any] = orjson.loads(connection.recv(SECONDS))
        if event["type"] == kind:
            return event


def close_of(connection: ClientConnection) -> tuple[int, str]:
    """What it is closed with; what comes before that is dropped."""
    try:
        while True:
            connection.recv(SECONDS)
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
