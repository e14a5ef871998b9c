"""Names of groups and endpoints: checked when a config is put; those stored before are served."""

import json
from typing import Any

import httpx
import pytest

from tests.api import ADMIN, GROUPS, Api, config
from tests.endpoints import endpoint, text_config
from tests.processes import Valkey

GOOD = ["a", "Z9", "0", "gpt-4o.mini_2", "a" * 64, "a.", "a-", "a__"]
BAD = ["", " ", "a b", "a/b", "a\n", "\na", "a\x1b[m", "a\u2028b", "é", "٣", "a" * 65, ".a", "-a"]
BAD += ["_a", "a:b", "a,b", 'a"b', "a%2fb", "a\\b", "{a}", "a\x00", "a\r\n[ERROR] forged"]
LARGE = {"tokens": 100_000, "rate_limit": 100, "rate_limit_window": 60}


def realtime(name: str) -> dict[str, Any]:
    return config() | {"providers": {"realtime": {"endpoints": {name: {}}}}}


def of(name: str) -> dict[str, dict[str, Any]]:
    """Configs that have the name, by the paths where it is."""
    endpoints = {"main": endpoint("https://provider.invalid"), name: {}}
    return {
        "user_groups": config(**{name: LARGE}),
        "providers.text.endpoints": text_config(endpoints),
        "providers.realtime.endpoints": realtime(name),
    }


@pytest.mark.parametrize("name", GOOD)
def test_good_names(api: Api, name: str) -> None:
    for value in of(name).values():
        assert api.put_config(value).status_code == 200


@pytest.mark.parametrize("name", BAD)
def test_bad_names_are_422_and_change_nothing(api: Api, name: str) -> None:
    before = api.get("/admin/config", ADMIN).content
    for path, value in of(name).items():
        made = {"tenantId": f"{api.tenant_id}-2", "config": value}
        for reply in (api.put_config(value), api.client.post("/tenants", json=made, headers=ADMIN)):
            assert reply.status_code == 422
            (fault,) = reply.json()["details"]
            assert fault["path"] == f"{path}.{name}"
            assert "must match" in fault["message"]
    assert api.get("/admin/config", ADMIN).content == before


def test_all_bad_names_are_told_at_once(api: Api) -> None:
    value = text_config({"a b": {}, "ok": {}}, fallback=["a b"], **{"c d": LARGE})
    value["user_groups"]["anonymous"] = {}
    found = [detail["path"] for detail in api.put_config(value).json()["details"]]
    assert {"user_groups.c d", "providers.text.endpoints.a b"} < set(found)
    assert "user_groups.anonymous.tokens" in found


@pytest.mark.parametrize("name", [name for name in BAD if 0 < len(name) <= 64])
def test_stored_ones_are_served(client: httpx.Client, valkey: Valkey, name: str) -> None:
    api = Api.new_tenant(client)
    value = config(**{name: LARGE})
    valkey.client.set(f"tenant:{api.tenant_id}:config", json.dumps(value))
    user = api.login()
    assert user.grant({"group": name}).json() == {"tokensLeft": 100_000, "group": name}
    assert user.balance()["group"] == name
    assert api.get("/admin/config", ADMIN).json() == {"config": value}


@pytest.mark.parametrize("name", ["a b", "a/b", "a\r\n[ERROR] forged"])
def test_a_stored_endpoint_is_served(client: httpx.Client, valkey: Valkey, name: str) -> None:
    api = Api.new_tenant(client)
    value = text_config({name: endpoint("https://provider.invalid")})
    valkey.client.set(f"tenant:{api.tenant_id}:config", json.dumps(value))
    (model,) = api.get("/v1/models", api.login().headers).json()["data"]
    assert model["owned_by"] == name


def test_a_stored_group_without_a_name_is_none(api: Api, valkey: Valkey) -> None:
    """To the script it would mean: add tokens, again with each request."""
    value = {**config(), "user_groups": GROUPS | {"": LARGE}}
    valkey.client.set(f"tenant:{api.tenant_id}:config", json.dumps(value))
    user = api.login()
    reply = user.grant({"group": ""})
    assert (reply.status_code, reply.json()["error"]) == (422, "Unknown group")
    assert user.balance()["tokensLeft"] == 100
