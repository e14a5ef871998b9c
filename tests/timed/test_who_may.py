"""Who may make calls that are billed by time, and what becomes of them with their users."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api import ADMIN, GROUPS, Api
from tests.doubles.ultravox import Course, UltravoxDouble
from tests.hurried import Hurried
from tests.processes import Server, Valkey, eventually
from tests.timed.caller import WORK, Caller
from tests.timed.conftest import LOOKS


def of_group(caller: Caller, **members: Any) -> None:
    value = caller.config(model="fixie")
    value["user_groups"] = GROUPS | {"paid": GROUPS["paid"] | members}
    caller.put(value)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"endpoints": ["text"]}, "endpoint_not_allowed"),
        ({"prompts_only": True}, "prompts_only"),
        ({"models": ["gpt-4o"]}, "model_not_allowed"),
        ({"models": ["ultravox/other"]}, "model_not_allowed"),
        ({"endpoints": ["realtime"]}, ""),
        ({"models": ["fixie"]}, ""),
        ({"models": ["ultravox/fixie"]}, ""),
        ({"models": ["ultravox/*"]}, ""),
        ({"models": ["*"]}, ""),
    ],
)
def test_groups(caller: Caller, members: dict[str, Any], code: str) -> None:
    of_group(caller, **members)
    reply = caller.ask()
    assert reply.status_code == (403 if code else 201), reply.text
    assert len(caller.double.calls(caller.key)) == (0 if code else 1)


def test_calls_at_the_same_time(caller: Caller) -> None:
    of_group(caller, concurrent=1)
    assert caller.ask(maxSeconds=30).status_code == 201
    reply = caller.ask(maxSeconds=30)
    assert (reply.status_code, reply.json()["error"]) == (429, "Too many calls at the same time")


def test_a_call_is_one_request_of_the_rate_limit(caller: Caller) -> None:
    value = caller.config()
    value["user_groups"] = GROUPS | {"paid": GROUPS["paid"] | {"rate_limit": 2}}
    caller.put(value)
    caller.user.grant({"group": "anonymous"})
    caller.user.become_permanent()
    statuses = [caller.ask(maxSeconds=30).status_code for _ in range(3)]
    assert statuses == [201, 201, 429]


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({"models": ["gpt-4o"]}, 403),
        ({"prompts": ["any"]}, 403),
        ({"models": ["ultravox/"]}, 201),
        ({}, 201),
        ({"origins": ["https://a.example"]}, 403),
    ],
)
def test_restricted_keys(caller: Caller, limits: dict[str, Any], status: int) -> None:
    key = caller.user.restricted(tokens=1_000, **limits)
    reply = caller.api.post("/realtime/calls", {}, key.headers)
    assert reply.status_code == status
    if status == 403:
        return
    assert reply.json()["maxSeconds"] == 84, "its own tokens bound it"
    (call,) = caller.double.calls(caller.key)
    path = f"/realtime/calls/{call.call_id}"
    assert caller.api.get(path, key.headers).status_code == 200
    caller.talk(call, 12)
    caller.settled(call)
    assert caller.api.get(path, key.headers).json()["tokens"] == 120
    assert caller.api.get(path, caller.user.restricted(tokens=1).headers).status_code == 404
    assert caller.user.restricted_keys()[0]["tokensUsed"] == 120


def test_endpoints(caller: Caller) -> None:
    value = caller.config()
    endpoints = value["providers"]["realtime"]["endpoints"]
    endpoints |= {"second": {**endpoints["ultravox"], "protocol": "ultravox"}, "openai": {}}
    caller.put(value)
    assert caller.ask(endpoint="second", maxSeconds=30).status_code == 201
    assert caller.user.ledger()[0]["ref"]["endpoint"] == "second"
    wrong = caller.ask(endpoint="openai")
    assert (wrong.status_code, caller.ask(endpoint="none").status_code) == (400, 404)
    value["providers"] = {}
    caller.put(value)
    assert caller.ask().status_code == 404
    assert caller.ask(endpoint="").status_code == 422


def test_the_limit_of_a_day_gets_back_what_was_not_used(caller: Caller) -> None:
    caller.put(caller.config() | {"limits": {"tokens_per_day": 4_000}})
    for _ in range(3):
        call = caller.call(Course(callback_times=0), maxSeconds=300)
        assert call.asked["maxDuration"] == "300s"
        cut = caller.ask(maxSeconds=300).json()
        assert cut["maxSeconds"] < 84
        caller.talk(call, 12)
        caller.double.advance(40)
        for one in caller.double.calls(caller.key):
            caller.settled(one)


def test_the_calls_of_a_deleted_user_are_hung_up(caller: Caller) -> None:
    call = caller.call(Course(callback_times=0))
    caller.double.join(call)
    reply = caller.api.client.delete(
        f"/{caller.api.tenant_id}/auth/me", headers=caller.user.headers
    )
    assert reply.status_code == 204, reply.text
    caller.valkey.client.zadd(WORK, {caller.name(call): 0})
    eventually(lambda: call.ended is not None and not caller.name(call))
    kept = caller.valkey.client.keys(f"*{caller.user.user_id}*")
    assert kept == [f"user:{caller.user.user_id}"]


def test_a_deleted_tenants_calls_are_forgotten(caller: Caller, tmp_path: Path) -> None:
    first, second = caller.call(maxSeconds=30), caller.call(maxSeconds=30)
    assert caller.api.client.delete(f"/tenants/{caller.api.tenant_id}", headers=ADMIN).is_success
    caller.valkey.client.zadd(WORK, {caller.name(first): 0})
    eventually(lambda: not caller.name(first))
    command = ("purge", "--tenant", caller.api.tenant_id)
    with Server(tmp_path / "out", *command, wait=False, REDIS_URL=caller.valkey.url) as purge:
        assert purge.wait() == 0
    assert not caller.name(second)
    assert caller.valkey.client.keys(f"*{caller.user.user_id}*") == []


def test_whoever_is_there_settles(valkey: Valkey, double: UltravoxDouble, tmp_path: Path) -> None:
    """A server that was killed has lost nothing; one without PUBLIC_URL is told by nobody."""
    with Valkey(tmp_path / "valkey") as own:
        with (
            Hurried(tmp_path / "first", own.url, LOOKS) as first,
            httpx.Client(base_url=first.url, timeout=20) as client,
        ):
            caller = Caller.new(client, double, own)
            call = caller.call()
            assert "callbacks" not in call.asked
            first.signal_group(9)
            first.wait()
        caller.talk(call, 12)
        with (
            Hurried(tmp_path / "second", own.url, LOOKS, WORKERS="2") as second,
            httpx.Client(base_url=second.url, timeout=20) as client,
        ):
            caller.user.api = Api(client, caller.api.tenant_id)
            caller.settled(call)
            assert (caller.left, caller.held) == (5_000 - 120, 0)
        audit = Server(tmp_path / "audit", "audit", wait=False, REDIS_URL=own.url)
        with audit:
            assert audit.wait() == 0, audit.text()
