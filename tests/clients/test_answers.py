"""Each client gets its answers from each kind of endpoint, and is charged what these report."""

from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest

from tests.clients.clients import CLIENTS, KINDS, Client, Kind
from tests.clients.conftest import Apps
from tests.clients.tenants import app_of
from tests.doubles import Double
from tests.gateway.sdks import App
from tests.processes import Server


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_answers(apps: Apps, gateway: Server, double: Double, client: Client) -> None:
    with ExitStack() as tenants:
        found = {
            kind: tenants.enter_context(app_of(gateway.url, double, kind, client.models[kind]))
            for kind in KINDS
        }
        keys = {(kind, act): uuid4().hex for kind in KINDS for act in client.acts}
        calls = [_call(double, client, kind, app, keys) for kind, app in found.items()]
        answers = apps.run(client, calls)
        expected = {act: client.expected(act) for act in client.acts}
        assert dict(zip(KINDS, answers, strict=True)) == dict.fromkeys(KINDS, expected)
        for kind, app in found.items():
            used = [double.calls(keys[kind, act]) for act in client.acts]
            app.assert_charged(sum(call.used for calls in used for call in calls))


def _call(
    double: Double, client: Client, kind: Kind, app: App, keys: dict[tuple[Kind, str], str]
) -> dict[str, Any]:
    prompts = {act: double.script(keys[kind, act], *client.answers(act)) for act in client.acts}
    model = client.models[kind]
    return {"base_url": app.base_url, "key": app.user.api_key, "model": model, "prompts": prompts}
