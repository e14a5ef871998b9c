"""How calls that are billed by time end: what the provider may say of one, and what that costs."""

from dataclasses import replace
from typing import Any

import pytest

from server.timed.provider import Bill, State
from server.timed.record import Price, Record
from server.timed.verdict import hold_seconds, of_silence, pause, seen, settlement
from tests.doubles.ultravox import Course
from tests.timed.caller import Caller

NOW = 1_800_000_000_000
MINUTE = 60_000
RECORD = Record(
    hold_id="0" * 32,
    key_id="",
    request_id="r",
    endpoint="ultravox",
    created_ms=NOW,
    join_seconds=30,
    seconds=300,
    price=Price(10_000, 1_000, 1_000),
    taken=None,
    ends_ms=NOW + 330_000,
)
LATEST = NOW + 330_000


@pytest.mark.parametrize(
    ("course", "tokens"),
    [
        (Course(billing="BILLED"), 120),
        (Course(billing="BILLED", billed_seconds=18), 180),
        (Course(billing="FREE_ZERO_EFFECTIVE_DURATION"), 0),
        (Course(billing="FREE_SYSTEM_ERROR"), 0),
        (Course(billing="FREE_MINUTES"), 120),
        (Course(billing="FREE_CONSOLE"), 120),
        (Course(billing="FREE_OTHER"), 120),
        (Course(billing="REFUNDED"), 120),
        (Course(side_input_tokens=7, side_output_tokens=5), 132),
    ],
    ids=lambda course: (
        f"{course.billing} {course.billed_seconds} {course.side_input_tokens}"
        if isinstance(course, Course)
        else ""
    ),
)
def test_what_is_billed(caller: Caller, course: Course, tokens: int) -> None:
    call = caller.call(replace(course, callback_times=0))
    caller.talk(call, 10)
    caller.settled(call)
    assert (caller.left, caller.held) == (5_000 - tokens, 0)


def test_prices(caller: Caller) -> None:
    caller.put(caller.config(tokens_per_second=3, weight=1.5))
    call = caller.call(Course(side_input_tokens=1, callback_times=0), maxSeconds=60)
    assert caller.held == 324  # 72 s
    caller.talk(call, 10)
    caller.put(caller.config(tokens_per_second=100))
    caller.settled(call)
    assert caller.left == 5_000 - 56  # 54 for 12 s, and 1.5: as when it was made


def test_a_deleted_call_costs_what_it_lasted(caller: Caller) -> None:
    call = caller.call(Course(callback_times=0))
    caller.talk(call, 10, bills_after=0)
    caller.double.delete(call)
    caller.settled(call)
    assert caller.left == 5_000 - 120
    assert caller.user.ledger()[0]["ref"]["estimated"] is True


def test_a_call_that_the_provider_has_forgotten_costs_what_it_may_have(caller: Caller) -> None:
    call = caller.call(Course(callback_times=0), maxSeconds=60)
    caller.put(caller.config() | {"providers": other_account(caller)})
    caller.look(call)
    assert caller.held == 720, "it may come again"
    caller.age(call, 100)
    caller.settled(call)
    assert (caller.left, caller.held) == (5_000 - 600, 0)


def other_account(caller: Caller) -> dict[str, Any]:
    endpoint = {"url": f"{caller.double.url}/nothing/here", "api_key": caller.key}
    return {"realtime": {"endpoints": {"ultravox": endpoint}}}


def test_without_its_endpoint_a_call_waits_for_a_day(caller: Caller) -> None:
    call = caller.call(Course(callback_times=0), maxSeconds=60)
    caller.put(caller.config() | {"providers": {}})
    caller.age(call, 3_600)
    caller.look(call)
    assert caller.held == 720
    caller.age(call, 25 * 3_600)
    caller.settled(call)
    assert (caller.left, caller.held) == (5_000 - 600, 0)


JOINED = State("joined", 60)
ENDED = State("ended", 60, NOW + 90_000)


@pytest.mark.parametrize(
    ("state", "now_ms", "found"),
    [
        (State("created"), NOW + 35_000, None),
        (State("created"), LATEST + 15 * MINUTE + 1, (Bill(0), "unjoined")),
        (State("created", is_last=True), NOW, (Bill(0), "unjoined")),
        (State("ended", 0, NOW + 30_000, Bill(0), True), NOW + 35_000, (Bill(0), "unjoined")),
        (JOINED, NOW + 90_000, None),
        (JOINED, LATEST + 14 * MINUTE, None),
        (JOINED._replace(used=9_000), LATEST + 15 * MINUTE + 1, (Bill(300), "estimated")),
        (JOINED._replace(is_last=True), NOW + 90_000, (Bill(60), "estimated")),
        (ENDED, NOW + 90_000 + 10 * MINUTE, None),
        (ENDED, NOW + 90_001 + 10 * MINUTE, (Bill(60), "estimated")),
        (ENDED._replace(is_last=True), NOW + 90_000, (Bill(60), "estimated")),
        (ENDED._replace(bill=Bill(66)), NOW + 90_000, (Bill(66), "billed")),
        (ENDED._replace(bill=Bill(0)), NOW + 90_000, (Bill(0), "free")),
        (ENDED._replace(bill=Bill(0, 5)), NOW + 90_000, (Bill(0, 5), "billed")),
        (None, LATEST - 1, None),
        (None, LATEST, (Bill(300), "estimated")),
    ],
)
def test_what_is_decided(state: State | None, now_ms: int, found: object) -> None:
    assert settlement(RECORD, state, now_ms) == found


def test_silence_is_borne_for_a_day() -> None:
    assert of_silence(RECORD, LATEST + 24 * 60 * MINUTE - 1) is None
    assert of_silence(RECORD, LATEST + 24 * 60 * MINUTE) == (Bill(300), "estimated")


@pytest.mark.parametrize(
    ("state", "now_ms", "seconds"),
    [
        (State("created"), NOW + 35_000, 60),
        (JOINED, NOW + 90_000, 60),
        (JOINED._replace(used=270), NOW + 300_000, 30),
        (JOINED._replace(used=300), NOW + 330_000, 10),
        (JOINED._replace(used=600), NOW + 630_000, 10),
        (ENDED, NOW + 91_000, 10),
        (ENDED, NOW + 110_000, 20),
        (ENDED, NOW + 130_000, 40),
        (ENDED, NOW + 90_000_000, 900),
    ],
)
def test_when_it_is_looked_at_again(state: State, now_ms: int, seconds: float) -> None:
    now = seen(RECORD, state, now_ms)
    assert pause(now, now_ms) == seconds
    assert hold_seconds(now, now_ms, seconds) >= seconds + 15 * 60


def test_one_that_was_hung_up_is_looked_at_often() -> None:
    record = replace(RECORD, ends_ms=NOW + 60_000, is_hung_up=True)
    assert pause(seen(record, JOINED, NOW + 61_000), NOW + 61_000) == 10
