"""Logins are counted, and end before Redis is full, on each arrangement of Redis."""

from collections.abc import Callable

import httpx
import pytest

from tests.api import Api, User
from tests.fullness import REFUSED, fill, use
from tests.processes import Server, eventually

WORKERS = 4


@pytest.mark.parametrize("arrangement", ["one", "sentinel", "cluster"])
def test_logins_end_when_the_fullest_primary_is_nearly_full(
    arrangement: str, request: pytest.FixtureRequest, start_server: Callable[..., Server]
) -> None:
    made = request.getfixturevalue(arrangement)
    limits = {f"ANONYMOUS_LOGINS_PER_{window}": "10000" for window in ("MINUTE", "HOUR")}
    server = start_server(made.url, PROXIES_COUNT="1", **limits)

    def log_in() -> httpx.Response:
        # Each on a connection of its own, so that all workers get some.
        url = f"{server.url}/{api.tenant_id}/auth/anonymous"
        return httpx.post(url, headers={"X-Forwarded-For": "2001:db8::1"}, timeout=10)

    def statuses() -> set[int]:
        return {log_in().status_code for _ in range(5 * WORKERS)}

    with httpx.Client(base_url=server.url, timeout=10) as client:
        api = Api.new_tenant(client)
        users = [User(api, log_in().json()) for _ in range(20)]
        full = made.primaries()[-1]
        fill(full)
        for percent, expected in (90, 503), (10, 200):
            use(full, percent)
            eventually(lambda e=expected: statuses() == {e}, 20)  # type: ignore[misc]
            assert {user.charge(1).status_code for user in users} == {200}
    assert server.text().count(REFUSED) == 1, server.text()
