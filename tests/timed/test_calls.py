"""Calls that are billed by time: made, bounded by what is held, and charged what the provider says,
once, whatever becomes of its callbacks."""

import httpx
import pytest

from tests.doubles.ultravox import Course, Fault, UltravoxDouble
from tests.metrics.scrape import scrape
from tests.processes import Valkey, eventually
from tests.timed.caller import Caller


def nested(levels: int) -> dict[str, object]:
    """A schema; 254 levels are the most that can be written."""
    found: dict[str, object] = {}
    for _ in range(levels):
        found = {"items": found}
    return found


def with_schema(schema: dict[str, object]) -> dict[str, object]:
    """A tool that an app has."""
    parameter = {"name": "x", "location": "PARAMETER_LOCATION_BODY", "schema": schema}
    tool = {"modelToolName": "x", "description": "x", "client": {}}
    return {"temporaryTool": {**tool, "dynamicParameters": [parameter]}}


def test_a_call_costs_what_the_provider_bills(caller: Caller) -> None:
    reply = caller.ask(maxSeconds=300)
    assert reply.status_code == 201
    assert reply.headers["cache-control"] == "no-store"
    made = reply.json()
    (call,) = caller.double.calls(caller.key)
    assert made["expiresAt"].endswith("Z")
    assert made == {
        "callId": call.call_id,
        "joinUrl": call.join_url,
        "maxSeconds": 300,
        "tokensHeld": 3_120,
        "sampleRate": 48_000,
        "encoding": "pcm_s16le",
        "expiresAt": made["expiresAt"],
    }
    assert (caller.left, caller.held) == (1_880, 3_120)
    assert caller.see(call) == {
        "callId": call.call_id, "status": "created", "seconds": 0, "tokens": 0
    }  # fmt: skip
    caller.talk(call, 37)
    caller.settled(call)
    assert caller.see(call) == {
        "callId": call.call_id, "status": "settled", "seconds": 42, "tokens": 420
    }  # fmt: skip
    assert (caller.left, caller.held) == (4_580, 0)
    settle, hold = caller.user.ledger()[:2]
    request_id = reply.headers["x-request-id"]
    assert hold["ref"] == {"requestId": request_id, "endpoint": "ultravox"}
    assert settle["ref"] == {
        "requestId": request_id, "endpoint": "ultravox", "call": call.call_id, "seconds": 42
    }  # fmt: skip


def test_what_ultravox_is_asked(caller: Caller) -> None:
    options = {
        "systemPrompt": "Be brief.",
        "temperature": 0.3,
        "languageHint": "de",
        "initialMessages": [{"role": "MESSAGE_ROLE_USER", "text": "Hi"}],
        "firstSpeakerSettings": {"user": {"fallback": {"delay": "5s", "text": "Hello?"}}},
        "initialOutputMedium": "MESSAGE_MEDIUM_TEXT",
        "vadSettings": {"turnEndpointDelay": "0.384s", "frameActivationThreshold": 0.1},
        "inactivityMessages": [{"duration": "30s", "message": "Still there?"}],
        "selectedTools": [
            {"temporaryTool": {"modelToolName": "see", "description": "Sees.", "client": {}}}
        ],
    }
    call = caller.call(**options, medium="websocket", maxSeconds=60)
    told = {"url": call.asked["callbacks"]["ended"]["url"]}
    assert call.asked.pop("metadata").keys() == {"gateway"}
    assert call.asked == {
        **options,
        "voice": "Mark",
        "joinTimeout": "30s",
        "maxDuration": "60s",
        "recordingEnabled": False,
        "medium": {"serverWebSocket": {"inputSampleRate": 48_000}},
        "callbacks": {"joined": told, "ended": told, "billed": told},
    }
    caller.put(caller.config(model="ultravox-v0.7", voice=None))
    plain = caller.call(maxSeconds=30)
    assert plain.asked["model"] == "ultravox-v0.7"
    assert not {"voice", "medium"} & plain.asked.keys()


@pytest.mark.parametrize(
    "body",
    [
        *({name: {}} for name in ("callbacks", "dataConnection", "metadata", "externalVoice")),
        *({name: "1s"} for name in ("maxDuration", "joinTimeout", "priorCallId", "voice", "model")),
        {"recordingEnabled": True},
        {"experimentalSettings": {}},
        {"timeExceededMessage": "Bye"},
        {"maxSeconds": 29},
        {"maxSeconds": "60"},
        {"maxSeconds": 86_401},
        {"temperature": 1.1},
        {"medium": "twilio"},
        {"systemPrompt": 5},
        {"initialMessages": [{"role": "MESSAGE_ROLE_USER", "text": "Hi", "toolName": "x"}]},
        {"selectedTools": [{"toolName": "queryCorpus"}]},
        {"selectedTools": [with_schema(nested(levels=246))]},
        {
            "selectedTools": [
                {
                    "temporaryTool": {
                        "modelToolName": "x",
                        "description": "x",
                        "http": {"baseUrlPattern": "https://a.example", "httpMethod": "GET"},
                    }
                }
            ]
        },
    ],
)
def test_what_is_not_the_users_to_say_is_422(caller: Caller, body: dict[str, object]) -> None:
    reply = caller.ask(**body)
    assert reply.status_code == 422, reply.text
    assert reply.json()["details"][0]["path"] == next(iter(body))
    assert caller.double.calls(caller.key) == []
    assert (caller.left, caller.held) == (5_000, 0)


def test_a_call_lasts_no_longer_than_the_balance_pays(caller: Caller) -> None:
    assert caller.user.charge(4_000).status_code == 200
    reply = caller.ask()
    assert (reply.json()["maxSeconds"], reply.json()["tokensHeld"]) == (84, 1_000)
    assert caller.double.calls(caller.key)[0].asked["maxDuration"] == "84s"
    assert caller.hang_up(caller.double.calls(caller.key)[0]).status_code == 202


def test_30_s_must_be_paid(caller: Caller) -> None:
    caller.user.charge(5_000 - 420)
    call = caller.call()
    assert caller.record(call)["seconds"] == 30
    caller.double.advance(31)
    caller.settled(call)
    assert caller.user.charge(1).status_code == 200
    reply = caller.ask()
    assert (reply.status_code, reply.json()["tokensLeft"]) == (402, 419)
    assert len(caller.double.calls(caller.key)) == 1


def test_a_call_that_nobody_joins_is_free(caller: Caller) -> None:
    call = caller.call(Course(callback_times=0))
    caller.double.advance(31)
    caller.settled(call)
    assert caller.see(call)["status"] == "settled"
    assert (caller.left, caller.held) == (5_000, 0)
    assert caller.user.ledger()[0]["op"] == "release"


def test_callbacks_are_hints(caller: Caller) -> None:
    """Nobody else looks so soon."""
    call = caller.call()
    caller.talk(call, 12)
    eventually(lambda: not caller.name(call), 15)
    assert caller.left == 5_000 - 120


def test_a_forged_callback_changes_nothing(caller: Caller, double: UltravoxDouble) -> None:
    call = caller.call(Course(callback_times=0))
    double.join(call)
    forged = {"billingStatus": "BILLING_STATUS_BILLED", "billedDuration": "6s", "ended": None}
    asked = double.asked(caller.key)
    double.call_back(call, "billed", **forged)
    eventually(lambda: double.asked(caller.key) > asked)
    eventually(lambda: caller.record(call)["status"] == "joined")
    assert caller.held == 4_880 + 120
    for path in ("unknown", "%00", "a" * 200):
        reply = caller.api.post(f"/realtime/callbacks/{path}", forged)
        assert reply.status_code == 204
    url = f"/{caller.api.tenant_id}/realtime/callbacks/x"
    assert caller.api.client.post(url, content=b"{").status_code == 204
    caller.talk(call, 6)
    caller.settled(call)
    assert caller.left == 5_000 - 60


def test_ten_callbacks_over_9_hours_charge_once(caller: Caller, double: UltravoxDouble) -> None:
    call = caller.call(Course(callback_times=10, callback_delay=1))
    caller.talk(call, 12)
    caller.settled(call)
    for key in caller.valkey.client.scan_iter(f"{{user:{caller.user.user_id}}}:*settle*"):
        caller.valkey.client.delete(key)  # as Redis does in time
    double.advance(9 * 3600)
    # As if whoever settled it had died before it could say so.
    name = f"{caller.api.tenant_id} {caller.user.user_id} {call.call_id} ultravox"
    caller.valkey.client.zadd("{calls}:due", {name: 0})
    eventually(lambda: not caller.name(call))
    assert caller.left == 5_000 - 120
    assert [entry["op"] for entry in caller.user.ledger()][:2] == ["settle", "hold"]


def test_what_is_not_billed_yet_waits(caller: Caller) -> None:
    call = caller.call(Course(callback_times=0, bills_after=60))
    caller.talk(call, 12)
    caller.look(call)
    assert (caller.see(call)["status"], caller.record(call)["status"]) == ("ended", "ended")
    assert caller.held > 0
    caller.double.advance(60)
    caller.settled(call)
    assert (caller.left, caller.held) == (5_000 - 120, 0)


def test_a_call_that_outlasts_its_bound(caller: Caller) -> None:
    call = caller.call(Course(overshoot=6, callback_times=0), maxSeconds=60)
    caller.double.join(call)
    caller.double.advance(100)
    caller.settled(call)
    assert (caller.left, caller.held) == (5_000 - 660, 0)
    assert all(entry["op"] != "overrun" for entry in caller.user.ledger())


@pytest.mark.parametrize(
    ("course", "status", "error"),
    [
        (Course(lost="answer"), 502, "The provider failed"),
        (Course(lost="request"), 502, "The provider failed"),
        (Course(delay=2.5), 504, "The provider did not answer in time"),
        (Course(status=401), 502, "The provider refuses the tenant's key"),
        (Course(status=402), 502, "The tenant's credit at the provider is used up"),
        (Course(status=429, headers={"Retry-After": "7"}), 429, "The provider's rate limit"),
        (Course(status=503, headers={"Retry-After": "7"}), 502, "The provider failed"),
        (Course(status=302, headers={"Location": "http://127.0.0.1:9/"}), 502, "The provider"),
        (Course(status=400), 400, "The double answers 400."),
    ],
)
def test_a_call_that_is_not_made_costs_nothing(
    caller: Caller, course: Course, status: int, error: str
) -> None:
    caller.double.script(caller.key, course)
    reply = caller.ask()
    assert reply.status_code == status
    assert reply.json()["error"].startswith(error)
    assert reply.headers.get("retry-after") == course.headers.get("Retry-After")
    eventually(lambda: caller.held == 0)
    assert caller.left == 5_000
    caller.double.advance(40)
    assert caller.left == 5_000


def test_hanging_up(caller: Caller) -> None:
    call = caller.call(Course(callback_times=0, bills_after=0))
    caller.double.join(call)
    caller.double.advance(20)
    reply = caller.hang_up(call)
    assert (reply.status_code, reply.json()["callId"]) == (202, call.call_id)
    assert call.end_reason
    caller.double.advance(1)
    caller.settled(call)
    assert caller.left == 5_000 - 240
    again = caller.hang_up(call)
    assert (again.status_code, again.json()["status"]) == (202, "settled")


def test_hanging_up_again_asks_the_provider_seldom(caller: Caller, valkey: Valkey) -> None:
    call = caller.call(Course(callback_times=0))
    assert [caller.hang_up(call).status_code for _ in range(5)] == [202] * 5
    assert len(call.messages) == 1
    valkey.client.delete(*valkey.client.keys("*asked*"))
    assert caller.hang_up(call).status_code == 202
    assert len(call.messages) == 2


def test_a_call_that_is_joined_after_it_was_hung_up_ends(caller: Caller) -> None:
    """The provider hangs up only what somebody has joined."""
    call = caller.call(Course(callback_times=0, bills_after=0))
    assert caller.hang_up(call).status_code == 202
    caller.double.join(call)
    caller.double.advance(7)
    caller.look(call)
    assert call.end_reason == "agent_hangup"
    caller.double.advance(1)
    caller.settled(call)
    assert caller.left == 5_000 - 120


def test_hanging_up_that_failed_may_be_tried_again(caller: Caller, valkey: Valkey) -> None:
    call = caller.call(Course(callback_times=0))
    caller.double.join(call)
    caller.double.fault(caller.key, "send", Fault(500))
    assert [caller.hang_up(call).status_code for _ in range(2)] == [502, 429]
    caller.double.fault(caller.key, "send")
    valkey.client.delete(*valkey.client.keys("*asked*"))
    assert caller.hang_up(call).status_code == 202
    assert call.end_reason


def test_a_provider_that_does_not_answer_loses_nothing(caller: Caller) -> None:
    call = caller.call(Course(callback_times=0))
    caller.talk(call, 12)
    caller.double.fault(caller.key, "get", Fault(500))
    caller.age(call, 3 * 3600)
    caller.look(call)
    assert caller.held > 0
    assert caller.due_in(call) > 600, "ever more seldom"
    caller.double.fault(caller.key, "get")
    caller.settled(call)
    assert caller.left == 5_000 - 120


def test_nobody_elses_call_is_seen_or_ended(caller: Caller) -> None:
    call = caller.call()
    other = caller.api.login()
    path = f"/realtime/calls/{call.call_id}"
    own = caller.user.restricted(tokens=1_000)
    for user in (other, own):
        assert caller.api.get(path, user.headers).status_code == 404
        reply = caller.api.client.delete(f"/{caller.api.tenant_id}{path}", headers=user.headers)
        assert reply.status_code == 404
    assert caller.api.get("/realtime/calls/unknown", caller.user.headers).status_code == 404
    assert call.end_reason is None
    assert caller.api.get(path).status_code == 401
    caller.api.revoke(caller.user.api_key)
    assert caller.api.get(path, caller.user.headers).status_code == 401


def test_calls_are_counted(caller: Caller, client: httpx.Client, valkey: Valkey) -> None:
    call = caller.call(Course(callback_times=0))
    caller.talk(call, 12)
    caller.settled(call)
    tenant = {"tenant": caller.api.tenant_id, "endpoint": "ultravox"}

    def counted() -> list[float]:
        found, name = scrape(client), "vibe_ultravox_calls_total"
        values = [found.value(name, **tenant, outcome=one) for one in ("created", "billed")]
        return [*values, found.value("vibe_upstream_tokens_total", **tenant)]

    eventually(lambda: counted() == [1, 1, 120])

    def is_told() -> bool:
        open_calls = scrape(client).value("vibe_ultravox_calls_open")
        return open_calls == valkey.client.zcard("{calls}:due")

    eventually(is_told)


def test_redis_has_no_secrets(caller: Caller) -> None:
    call = caller.call()
    token = call.asked["callbacks"]["ended"]["url"].rpartition("/")[2]
    kept = " ".join(map(str, caller.valkey.client.keys("*")))
    for secret in (call.token, token, caller.key):
        assert secret not in kept
