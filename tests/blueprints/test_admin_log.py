"""One line for each administrative act that changes something, in both formats of the log."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api import ADMIN, Api, config
from tests.processes import ADMIN_TOKEN, Server, Valkey

ACT = {**ADMIN, "X-Request-ID": "the-act"}


@pytest.fixture(params=["text", "json"])
def server(request: pytest.FixtureRequest, valkey: Valkey, tmp_path: Path) -> Iterator[Server]:
    settings = {"REDIS_URL": valkey.url, "LOG_FORMAT": request.param}
    with Server(tmp_path / "out", **settings) as server:
        yield server


def lines(server: Server) -> list[str]:
    """Of the acts of this test, without those that made its tenant."""
    found = []
    for line in server.text().splitlines():
        level, message = "", line
        if line.startswith("{"):
            fields = json.loads(line)
            level, message = fields["level"], fields["message"]
        if "(request the-act)" in message:
            assert level == "info" or message.startswith("[INFO] ")
            found.append(message.removeprefix("[INFO] ").removesuffix(" (request the-act)"))
    return found


def test_acts(server: Server, api: Api) -> None:
    tenant, user = api.tenant_id, api.login()
    grants = f"/{tenant}/admin/users/{user.user_id}/grants"
    once = ACT | {"Idempotency-Key": "once"}
    new = {"tenantId": f"{tenant}-2", "config": config()}
    for method, path, body, headers in (
        ("PUT", f"/{tenant}/admin/config", {"config": config()}, ACT),
        ("POST", grants, {"tokens": 5}, once),
        ("POST", grants, {"tokens": 5}, once),  # which changes nothing
        ("POST", grants, {"group": "paid"}, ACT),
        ("DELETE", f"/{tenant}/admin/keys/{user.api_key}", None, ACT),
        ("POST", "/tenants", new, ACT),
        ("DELETE", f"/tenants/{tenant}-2", None, ACT),
    ):
        reply = api.client.request(method, path, json=body, headers=headers)
        assert reply.status_code < 300, reply.text
    of_user = f"ser {user.user_id} of tenant {tenant}"
    assert lines(server) == [
        f"Config of tenant {tenant} replaced",
        f"U{of_user} granted 5 tokens",
        f"U{of_user} moved to group paid",
        f"API key of u{of_user} revoked",
        f"Tenant {tenant}-2 made",
        f"Tenant {tenant}-2 deleted",
    ]
    assert user.api_key not in server.text()
    assert ADMIN_TOKEN not in server.text()


def test_what_is_refused_or_only_read_is_no_act(server: Server, api: Api) -> None:
    tenant, user = api.tenant_id, api.login()
    admin = f"/{tenant}/admin"
    grants = f"{admin}/users/{user.user_id}/grants"
    for method, path, body in (
        ("GET", f"{admin}/config", None),
        ("PUT", f"{admin}/config", {"config": {}}),
        ("GET", f"{admin}/users/{user.user_id}", None),
        ("POST", grants, {"group": "nobodys"}),
        ("POST", grants, {"tokens": 10**13}),
        ("POST", f"{admin}/users/x/grants", {"tokens": 1}),
        ("DELETE", f"{admin}/keys/x", None),
        ("GET", "/tenants", None),
        ("POST", "/tenants", {"tenantId": tenant, "config": config()}),
        ("DELETE", "/tenants/nobody", None),
    ):
        reply = api.client.request(method, path, json=body, headers=ACT)
        assert reply.status_code == 200 if method == "GET" else reply.status_code >= 400
        headers = ACT | {"Authorization": "Bearer"}
        assert api.client.request(method, path, json=body, headers=headers).status_code == 401
    assert lines(server) == []
