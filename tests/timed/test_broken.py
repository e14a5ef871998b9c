"""What another program has stored in place of a call: one line for the operator, 503 for its owner,
and no other call waits."""

from typing import Any

import orjson
import pytest

from server.store import keys
from tests.gateway.raw_provider import RawProvider, whole
from tests.processes import Server, eventually
from tests.timed.caller import WORK, Caller

ODD: dict[str, Any] = {
    "endpoint": [],
    "join_seconds": "30",
    "hold_id": ["x"],
    "status": "begun",
    "key_id": 5,
    "request_id": None,
    "price": [1, 2, "3"],
}


@pytest.mark.parametrize(("name", "value"), ODD.items(), ids=ODD)
def test_a_call_that_is_broken(caller: Caller, hasty: Server, name: str, value: Any) -> None:
    call = caller.call()
    user, path = caller.user, f"/realtime/calls/{call.call_id}"
    stored = keys.timed(user.user_id)
    record = orjson.loads(caller.valkey.client.hget(stored, call.call_id) or b"")
    caller.valkey.client.hset(stored, call.call_id, orjson.dumps({**record, name: value}))
    assert user.api.get(path, user.headers).status_code == 503
    due = f"{user.api.tenant_id} {user.user_id} {call.call_id} ultravox"
    assert caller.valkey.client.zscore(WORK, due) is not None
    caller.valkey.client.zadd(WORK, {due: 1})
    eventually(lambda: caller.valkey.client.zscore(WORK, due) is None)
    assert f"Call {call.call_id} of user {user.user_id} is lost" in hasty.text()
    assert "Traceback" not in hasty.text()


@pytest.mark.parametrize("text", [b"x y z", b"1 2", b"\xff 1 2", b"1 -1 "])
def test_a_settled_call_that_is_broken(caller: Caller, hasty: Server, text: bytes) -> None:
    user = caller.user
    caller.valkey.client.set(keys.timed_settled(user.user_id, "gone"), text)
    assert user.api.get("/realtime/calls/gone", user.headers).status_code == 503
    assert "Traceback" not in hasty.text()


NO_NAMES = [b"x", b"t u", b"t u c ", b"\xff u c ultravox", b"", b"x" * 1_000]


@pytest.mark.parametrize("text", NO_NAMES, ids=range(len(NO_NAMES)))
def test_what_is_no_name_of_a_call_is_taken_off(caller: Caller, hasty: Server, text: bytes) -> None:
    """One line tells it: again and again would tell nothing more."""
    call = caller.call()
    caller.valkey.client.zadd(WORK, {text: 1})
    eventually(lambda: caller.valkey.client.zscore(WORK, text) is None)
    lines = [line for line in hasty.text().splitlines() if f"was {text!r:.100}, which" in line]
    assert len(lines) == 1
    assert "[ERROR]" in lines[0]
    caller.look(call)
    assert "Traceback" not in hasty.text()


def test_a_name_of_nobodys_call_is_taken_off(caller: Caller, hasty: Server) -> None:
    tenant_id = caller.user.api.tenant_id
    names = ["t u c e", "a/b u} c e", f"{tenant_id} u c ultravox", f"{tenant_id} u c/ e f g"]
    caller.valkey.client.zadd(WORK, dict.fromkeys(names, 1))
    eventually(lambda: not any(caller.valkey.client.zmscore(WORK, names)))
    assert "Traceback" not in hasty.text()


@pytest.mark.parametrize("ended", ["2300-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_time_that_cannot_be_is_not_kept(caller: Caller, ended: str) -> None:
    """Nobody could read it again, and the call would never be settled."""
    told = {"callId": "call-1", "joinUrl": "wss://voice.example/1"}
    times = {"joined": "2025-01-01T00:00:00Z", "ended": ended}
    config, user = caller.config(), caller.user
    with RawProvider(whole(orjson.dumps(told | times), "201 Created")) as provider:
        realtime = config["providers"]["realtime"]
        realtime["endpoints"]["ultravox"]["url"] = f"{provider.url}/api/calls"
        caller.put(config)
        assert caller.ask(maxSeconds=30).status_code == 201
        for _ in range(2):
            reply = user.api.get("/realtime/calls/call-1", user.headers)
            assert (reply.status_code, reply.json()["status"]) == (200, "created")
