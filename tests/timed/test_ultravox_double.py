"""The double of Ultravox: what its documents say of calls, billing and callbacks."""

import hashlib
import hmac
import json
import signal
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.doubles.ultravox import Call, Course, Fault, UltravoxDouble
from tests.processes import Process, eventually, free_port

SECRET = "a-secret"


class Hook:
    """Takes callbacks; `statuses` are the answers to the first ones, the others get 204."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                hook.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(hook.statuses.pop(0) if hook.statuses else 204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    @property
    def events(self) -> list[str]:
        return [json.loads(body)["event"] for _, body in self.got]


@pytest.fixture(scope="module")
def double() -> Iterator[UltravoxDouble]:
    with UltravoxDouble() as double:
        yield double


@pytest.fixture
def key() -> str:
    return uuid4().hex


@pytest.fixture
def api(double: UltravoxDouble, key: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=double.url, headers={"X-API-Key": key}) as client:
        yield client


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    threading.Thread(target=hook.server.serve_forever, args=(0.01,), daemon=True).start()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def made(double: UltravoxDouble, api: httpx.Client, *courses: Course, **asked: Any) -> Call:
    key = api.headers["X-API-Key"]
    double.script(key, *courses)
    reply = api.post("/api/calls", json=asked)
    assert reply.status_code == 201, reply.text
    return double.calls(key)[-1]


def shown(api: httpx.Client, call: Call) -> dict[str, Any]:
    return dict(api.get(f"/api/calls/{call.call_id}").json())


def hooked(hook: Hook, *events: str) -> dict[str, Any]:
    return {event: {"url": hook.url, "secrets": [SECRET]} for event in events}


def test_a_call_from_its_creation_to_its_bill(double: UltravoxDouble, api: httpx.Client) -> None:
    call = made(double, api, maxDuration="600s", metadata={"gateway": "g"}, systemPrompt="Hi")
    first = shown(api, call)
    assert (first["joined"], first["billingStatus"]) == (None, "BILLING_STATUS_PENDING")
    assert (first["maxDuration"], first["metadata"]) == ("600s", {"gateway": "g"})
    double.join(call)
    double.advance(37)
    assert api.post(f"/api/calls/{call.call_id}/send_data_message", json={"type": "hang_up"})
    ended = shown(api, call)
    assert (ended["endReason"], ended["billedDuration"]) == ("agent_hangup", None)
    double.advance(5)
    billed = shown(api, call)
    assert (billed["billedDuration"], billed["billingStatus"]) == ("42s", "BILLING_STATUS_BILLED")


def test_a_call_that_nobody_joins(double: UltravoxDouble, api: httpx.Client) -> None:
    call = made(double, api, joinTimeout="20s")
    double.advance(19)
    assert call.ended is None
    double.advance(10)
    assert (call.end_reason, call.billing, call.billed_seconds) == (
        "unjoined",
        "FREE_ZERO_EFFECTIVE_DURATION",
        0,
    )


def test_a_call_that_outlasts_its_time(double: UltravoxDouble, api: httpx.Client) -> None:
    call = made(double, api, Course(overshoot=6), maxDuration="60s")
    double.join(call)
    double.advance(65)
    assert call.ended is None
    double.advance(6)
    assert (call.end_reason, call.billed_seconds) == ("timeout", 66)


def test_bills_of_other_kinds(double: UltravoxDouble, api: httpx.Client) -> None:
    free = Course(billing="FREE_MINUTES", billed_seconds=7, side_input_tokens=3)
    for course, status, duration in (
        (free, "FREE_MINUTES", "7s"),
        (Course(bills_after=None), "PENDING", None),
    ):
        call = made(double, api, course)
        double.join(call)
        double.hang_up(call, "connection_error")
        double.advance(1000)
        found = shown(api, call)
        assert (found["billingStatus"], found["billedDuration"]) == (
            f"BILLING_STATUS_{status}",
            duration,
        )
        assert found["billedSideInputTokens"] == (0 if duration is None else 3)


@pytest.mark.parametrize(
    "asked",
    [
        {"maxDuration": "600"},
        {"metadata": {"n": 1}},
        {"medium": {"serverWebSocket": {}}},
        {"encoding": "pcm_s16le"},
        ["no object"],
    ],
)
def test_what_is_refused(api: httpx.Client, asked: Any) -> None:
    assert api.post("/api/calls", json=asked).status_code == 400


def test_a_creation_that_goes_wrong(double: UltravoxDouble, api: httpx.Client, key: str) -> None:
    courses = (
        Course(status=429, headers={"retry-after": "7"}),
        Course(lost="request"),
        Course(lost="answer"),
    )
    double.script(key, *courses)
    reply = api.post("/api/calls", json={"metadata": {"gateway": "g"}})
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")
    for made in (0, 1):
        with pytest.raises(httpx.TransportError):
            api.post("/api/calls", json={"metadata": {"gateway": "g"}})
        found = api.get("/api/calls", params={"metadata.gateway": "g"}).json()["results"]
        assert len(found) == made
    assert double.asked(key) == 5
    assert httpx.post(f"{double.url}/api/calls", json={}).status_code == 403


def test_requests_that_fail(double: UltravoxDouble, api: httpx.Client, key: str) -> None:
    call = made(double, api)
    double.fault(key, "get", Fault(503))
    assert api.get(f"/api/calls/{call.call_id}").status_code == 503
    double.fault(key, "get", Fault())
    with pytest.raises(httpx.TransportError):
        api.get(f"/api/calls/{call.call_id}")
    double.fault(key, "get")
    assert shown(api, call)["callId"] == call.call_id


def test_a_call_is_of_its_key_and_leaves_a_tombstone(
    double: UltravoxDouble, api: httpx.Client
) -> None:
    call = made(double, api)
    others = {"X-API-Key": "another"}
    assert api.get(f"/api/calls/{call.call_id}", headers=others).status_code == 404
    double.join(call)
    double.hang_up(call)
    assert api.delete(f"/api/calls/{call.call_id}").status_code == 204
    assert api.get(f"/api/calls/{call.call_id}").status_code == 404
    tombstone = api.get(f"/api/deleted_calls/{call.call_id}").json()
    assert tombstone["endReason"] == "hangup"
    assert "billedDuration" not in tombstone


def test_callbacks(double: UltravoxDouble, api: httpx.Client, hook: Hook) -> None:
    call = made(double, api, callbacks=hooked(hook, "joined", "ended", "billed"))
    double.join(call)
    double.advance(10)
    double.hang_up(call)
    double.advance(5)
    assert hook.events == ["call.joined", "call.ended", "call.billed"]
    headers, body = hook.got[-1]
    signed = body + headers["x-ultravox-webhook-timestamp"].encode()
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["x-ultravox-webhook-signature"] == expected
    assert json.loads(body)["call"]["billedDuration"] == "12s"
    assert json.loads(hook.got[1][1])["call"]["billedDuration"] is None


def test_callbacks_are_tried_again(double: UltravoxDouble, api: httpx.Client, hook: Hook) -> None:
    hook.statuses = [500] * 20
    call = made(double, api, callbacks=hooked(hook, "ended"))
    double.join(call)
    double.hang_up(call)
    double.advance(9 * 3600)
    assert [delivery.attempt for delivery in call.deliveries] == list(range(1, 12))


def test_callbacks_that_come_late_twice_or_never(
    double: UltravoxDouble, api: httpx.Client, hook: Hook
) -> None:
    callbacks = hooked(hook, "ended")
    for course, counts in (
        (Course(callback_times=2), (2, 2)),
        (Course(callback_delay=100), (0, 1)),
        (Course(callback_times=0), (0, 0)),
    ):
        hook.got.clear()
        call = made(double, api, course, callbacks=callbacks)
        double.join(call)
        double.hang_up(call)
        double.advance(0)
        early = len(hook.got)
        double.advance(100)
        assert (early, len(hook.got)) == counts


def test_callbacks_that_are_forged(double: UltravoxDouble, api: httpx.Client, hook: Hook) -> None:
    call = made(double, api, callbacks=hooked(hook, "billed"))
    double.call_back(call, "billed", secret="another", billedDuration="1s")
    [(headers, body)] = hook.got
    assert json.loads(body)["call"]["billedDuration"] == "1s"
    signed = body + headers["x-ultravox-webhook-timestamp"].encode()
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["x-ultravox-webhook-signature"] != expected


def test_joining_by_a_socket(double: UltravoxDouble, api: httpx.Client) -> None:
    call = made(double, api, medium={"serverWebSocket": {"inputSampleRate": 48000}})
    with connect(f"{call.join_url}?clientVersion=web_0.5.0&apiVersion=1") as connection:
        assert json.loads(connection.recv()) == {"type": "call_started", "callId": call.call_id}
        connection.recv()
        connection.send(b"\0\1" * 10)
        assert connection.recv() == b"\0\1" * 10
        assert call.joined is not None
        double.hang_up(call, "agent_hangup")
        with pytest.raises(ConnectionClosed):
            connection.recv()
    assert (call.client_version, call.end_reason) == ("web_0.5.0", "agent_hangup")


def test_a_client_that_leaves_hangs_up(double: UltravoxDouble, api: httpx.Client) -> None:
    call = made(double, api)
    with connect(call.join_url) as connection:
        assert set(json.loads(connection.recv())) == {"type", "roomUrl", "token"}
    eventually(lambda: call.end_reason == "hangup")


def test_the_command_answers_and_stops(tmp_path: Path) -> None:
    port = str(free_port())
    command = [sys.executable, "-m", "tests.doubles.ultravox", "--port", port]
    with Process(command, {}, tmp_path / "out") as process:
        eventually(lambda: "Listening on" in process.text())
        url = f"http://127.0.0.1:{port}/api/calls"
        headers = {"X-API-Key": "k"}
        call = httpx.post(url, json={"joinTimeout": "0s"}, headers=headers).json()
        eventually(lambda: httpx.get(f"{url}/{call['callId']}", headers=headers).json()["ended"])
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
