"""Logging in, from any address: as the proxy tells it that a server is behind."""

import httpx

from tests.api import Api
from tests.processes import Valkey

PER_MINUTE, PER_HOUR = 3, 5
PROXY_SECRET = "the-proxys-secret"


def login(api: Api, **headers: str) -> httpx.Response:
    return api.post("/auth/anonymous", None, headers)


def statuses(api: Api, address: str, times: int) -> list[int]:
    """Of logins that the proxy in front of us says came from `address`."""
    return [login(api, **{"x-forwarded-for": address}).status_code for _ in range(times)]


def window_key(api: Api, window: str) -> str:
    return f"{{tenant:{api.tenant_id}:logins}}:{window}"


def windows(valkey: Valkey, api: Api) -> set[str]:
    """Those in which logins are counted: `minute` or `hour`, and of whom, if not of the tenant."""
    prefix = window_key(api, "")
    return {
        str(key).removeprefix(prefix) for key in valkey.client.scan_iter(f"{prefix}*", count=1000)
    }


def age(valkey: Valkey, api: Api, window: str, ms: int) -> None:
    """Its logins were so much earlier."""
    key = window_key(api, window)
    for index, time in enumerate(valkey.client.lrange(key, 0, -1)):
        valkey.client.lset(key, index, str(int(time) - ms))
