"""How a session ends, and that all of it is settled then, once."""

import asyncio

import pytest

from server.voice.opening import EXPIRED, SHUTDOWN, Cause
from tests.api import Api, config
from tests.doubles.realtime import ENDS, RealtimeDouble, Service, Turn
from tests.processes import eventually
from tests.voice.conftest import Open, refs, user_with


async def test_who_lacks_the_tokens_is_told_and_cut_off(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("poor", Service())
    one = await talk(user_with(api, 5), key)
    one.client.say("response.create", event_id="mine")
    ending = await one.ending()
    assert ending.cause.outcome == "balance"
    assert (one.client.code, one.client.reason) == (4402, "insufficient_quota.insufficient_quota")
    [error] = one.client.of("error")
    assert error["error"] == {
        "type": "insufficient_quota",
        "code": "insufficient_quota",
        "message": "Payment Required",
        "param": None,
        "event_id": "mine",
        "tokensLeft": 5,
    }
    assert not one.upstream.of("response.create")


async def test_the_output_is_bounded_by_the_balance(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("short", Service(turns=(Turn(pieces=("word ",) * 500),)))
    user = user_with(api, 100)
    one = await talk(user, key)
    one.client.say("response.create")
    done = await one.client.until("response.done")
    assert done["response"]["status_details"]["reason"] == "max_output_tokens"
    await one.client.until("rate_limits.updated")
    assert user.balance()["tokensUsed"] == double.used(key) <= 100
    one.client.say("response.create")
    await one.ending()
    assert one.client.code == 4402
    assert user.balance()["tokensUsed"] == double.used(key) <= 100


async def test_a_response_over_its_limit_is_cut(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    turn = Turn(pieces=("word ",) * 500, audio_ms=1_000, ignore_limit=True, pause=0.01)
    key = double.script("endless", Service(turns=(turn,)))
    user = user_with(api, 1_000)
    one = await talk(user, key)
    one.client.say("response.create", response={"max_output_tokens": 100})
    ending = await one.ending()
    assert (ending.cause.outcome, one.client.code) == ("balance", 4402)
    assert one.client.events[-1]["error"]["code"] == "insufficient_quota"
    assert user.balance()["tokensUsed"] == double.used(key) < 400


async def test_one_that_nobody_asked_for_is_held(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("unasked", Service(turns=(Turn(stop_at=1),)))
    user = user_with(api, 10_000)
    one = await talk(user, key)
    double.begin(key)
    await one.client.until("response.created")
    await asyncio.to_thread(eventually, lambda: user.balance()["tokensHeld"])
    double.release(key)
    await one.client.until("rate_limits.updated")
    assert user.balance()["tokensUsed"] == double.used(key) > 0


async def test_one_that_nobody_asked_for_and_nobody_can_pay_is_cancelled(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("unpaid", Service(turns=(Turn(stop_at=3, input_tokens=10),)))
    user = user_with(api, 12)
    one = await talk(user, key)
    double.begin(key)
    ending = await one.ending()
    assert (ending.cause.outcome, one.client.code) == ("balance", 4402)
    await one.holding.finish(0)
    assert len(one.upstream.of("response.cancel")) == 1
    assert user.balance()["tokensLeft"] == max(12 - double.used(key), 0)


@pytest.mark.parametrize("step", [0, 2, -1])
async def test_a_client_that_goes_pays_what_the_provider_reports(
    api: Api, double: RealtimeDouble, talk: Open, step: int
) -> None:
    key = double.script(f"gone-{step}", Service(turns=(Turn(stop_at=step),)))
    user = user_with(api, 10_000)
    one = await talk(user, key)
    one.client.say("response.create")
    if step:
        await one.client.until("response.created")
    else:
        await asyncio.to_thread(eventually, lambda: one.upstream.of("response.create"))
    one.client.leave()
    double.release(key)
    ending = await one.ending()
    assert ending.cause.outcome == "client"
    balance = user.balance()
    assert (balance["tokensUsed"], balance["tokensHeld"]) == (double.used(key), 0)
    assert len(refs(user)) == 1


async def test_a_client_that_goes_pays_an_estimate_of_what_is_never_reported(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("never", Service(turns=(Turn(stop_at=4, ignore_cancel=True),)))
    user = user_with(api, 10_000)
    one = await talk(user, key)
    one.client.say("response.create")
    await one.client.until("response.output_audio.delta", 3)
    one.client.leave()
    await one.ending()
    [ref] = refs(user)
    assert ref["estimated"]
    assert ref["output"] >= 6
    assert user.balance()["tokensUsed"] == ref["input"] + ref["output"]


@pytest.mark.parametrize(
    "end", ["going away", "insufficient_quota", "server_error", "normal", "cut"]
)
async def test_a_provider_that_goes(api: Api, double: RealtimeDouble, talk: Open, end: str) -> None:
    key = double.script(f"upstream-{end.split()[0]}", Service(turns=(Turn(stop_at=3),)))
    user = user_with(api, 10_000)
    one = await talk(user, key)
    one.client.say("response.create")
    await one.client.until("response.output_audio.delta", 2)
    if end == "cut":
        double.cut(key)
    else:
        await asyncio.to_thread(double.end, key, end)
    ending = await one.ending()
    assert (ending.cause.outcome, one.client.code) == ("provider", 1011)
    assert one.client.reason == "provider_error"
    assert not one.upstream.of("response.cancel")
    [ref] = refs(user)
    assert ref["estimated"]
    assert ref["output"] >= 4
    assert "org-of" not in str(one.client.events)
    assert one.client.events[-1]["error"]["code"] == "provider_error"


async def test_the_providers_hour_is_over(api: Api, double: RealtimeDouble, talk: Open) -> None:
    key = double.script("hour", Service())
    one = await talk(user_with(api, 10_000), key)
    await asyncio.to_thread(double.end, key, ENDS["session_expired"])
    ending = await one.ending()
    assert (ending.cause.outcome, one.client.code) == ("expired", 1001)
    assert [event["error"]["code"] for event in one.client.of("error")] == ["session_expired"]


@pytest.mark.parametrize("cause", [EXPIRED, SHUTDOWN], ids=["expired", "shutdown"])
@pytest.mark.parametrize("is_slow", [False, True], ids=["quick", "slow"])
async def test_a_response_may_end_before_its_session(
    api: Api, double: RealtimeDouble, talk: Open, cause: Cause, is_slow: bool
) -> None:
    key = double.script(f"{cause.outcome}-{is_slow}", Service(turns=(Turn(stop_at=2),)))
    user = user_with(api, 10_000)
    one = await talk(user, key)
    one.client.say("response.create")
    await one.client.until("response.output_audio.delta")
    one.session.end(cause)
    one.client.say("response.create")
    if not is_slow:
        double.release(key)
    await one.ending()
    assert (one.client.code, one.client.reason) == (1001, cause.reason)
    status = "cancelled" if is_slow else "completed"
    assert [done["response"]["status"] for done in one.client.of("response.done")] == [status]
    assert [event["error"]["code"] for event in one.client.of("error")] == [
        cause.error and cause.error[1]
    ]
    assert user.balance()["tokensUsed"] == double.used(key)
    assert len(one.upstream.of("response.create")) == 1


async def test_a_key_that_is_revoked(api: Api, double: RealtimeDouble, talk: Open) -> None:
    key = double.script("revoked", Service())
    user = user_with(api, 10_000)
    one = await talk(user, key)
    assert api.revoke(user.api_key).status_code in (200, 204)
    one.client.say("response.create")
    ending = await one.ending()
    assert ending.cause.code == one.client.code == 4401
    assert one.client.reason == "invalid_request_error.invalid_api_key"
    assert [event["error"]["code"] for event in one.client.of("error")] == ["invalid_api_key"]


@pytest.mark.parametrize(
    ("turn", "charged"),
    [
        (Turn(status="failed", usage="absent", pieces=()), 0),
        (Turn(status="failed", usage="absent"), None),
        (Turn(usage="absent"), None),
        (Turn(malformed=1.5), None),
        (Turn(malformed=10**14), None),
        (Turn(malformed="12"), None),
        (Turn(malformed=-1), None),
    ],
    ids=["failed", "failed-late", "absent", "fraction", "huge", "text", "negative"],
)
async def test_what_is_not_reported_is_estimated(
    api: Api, double: RealtimeDouble, talk: Open, turn: Turn, charged: int | None
) -> None:
    key = double.script(
        f"odd-{turn.status}-{turn.usage}-{turn.malformed}-{len(turn.pieces)}",
        Service(turns=(turn,)),
    )
    user = user_with(api, 10_000)
    one = await talk(user, key)
    one.client.say("response.create")
    await one.client.until("rate_limits.updated")
    used = user.balance()["tokensUsed"]
    if charged is not None:
        assert used == charged
    else:
        [ref] = refs(user)
        assert ref["estimated"]
        assert used == ref["input"] + ref["output"]
        assert ref["output"] in range(10, 30)


async def test_three_messages_that_are_no_events(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("no-events", Service())
    one = await talk(user_with(api, 10_000), key)
    for text in (b"hello", b"[]", b"\xff"):
        one.client.say(text)
    await one.ending()
    assert one.client.code == 1008
    assert len(one.client.of("error")) == 3


async def test_groups_and_keys_bound_a_session(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("bounded", Service())
    user = user_with(api, 10_000)
    usual = config()["user_groups"]["anonymous"]
    one = await talk(user, key, groups={"anonymous": {**usual, "max_output": 7}})
    one.client.say("response.create")
    await one.client.until("response.done")
    assert one.upstream.of("response.create")[0]["response"]["max_output_tokens"] == 7
    other = await talk(user, key, groups={"anonymous": {**usual, "endpoints": ["text"]}})
    other.client.say("response.create", event_id="mine")
    error = (await other.client.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("endpoint_not_allowed", "mine")
    assert other.client.code is None


async def test_what_waits_for_tokens_is_not_begun_for_nobody(
    api: Api, double: RealtimeDouble, talk: Open
) -> None:
    key = double.script("waits", Service())
    user = user_with(api, 1_000)
    one = await talk(user, key)
    held = user.hold({"tokens": 1_000}).json()
    one.client.say("response.create")
    waiting = one.holding.waiting
    await asyncio.to_thread(eventually, lambda: waiting._of_user)
    one.client.leave()
    assert user.settle(held["holdId"], 0).status_code == 200
    await one.ending()
    await one.holding.finish(asyncio.get_running_loop().time() + 5)
    assert not one.upstream.of("response.create")
    balance = user.balance()
    assert (balance["tokensUsed"], balance["tokensHeld"]) == (0, 0)
