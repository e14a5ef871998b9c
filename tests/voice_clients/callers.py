"""Who talks, and where; and what a client in Node finds."""

import json
from typing import Any, NamedTuple

from tests.api import User
from tests.doubles.realtime import RealtimeDouble
from tests.node import Node


def base_url_of(user: User) -> str:
    """As SDKs want it."""
    return f"{str(user.api.client.base_url).rstrip('/')}/{user.api.tenant_id}/v1"


def url_of(user: User, model: str) -> str:
    """Of the WebSocket."""
    return f"{base_url_of(user).replace('http', 'ws', 1)}/realtime?model={model}"


class Caller(NamedTuple):
    """A user of a tenant of its own, whose model is a key of the double's."""

    user: User
    model: str
    double: RealtimeDouble

    @property
    def base_url(self) -> str:
        return base_url_of(self.user)

    @property
    def url(self) -> str:
        return url_of(self.user, self.model)

    def settles(self) -> list[dict[str, Any]]:
        """The oldest first."""
        return [entry for entry in self.user.ledger()[::-1] if entry["op"] == "settle"]


def talk(node: Node, client: str, url: str, key: str, **settings: Any) -> dict[str, Any]:
    """What one of clients.js finds in Node."""
    plan = json.dumps({"url": url, "key": key, "text": "Hello", **settings})
    # Node 20 has WebSocket behind a flag.
    flags = ["--experimental-websocket", "--no-warnings"]
    return dict(json.loads(node.run(["node", *flags, "talk.mjs", client, plan])))
