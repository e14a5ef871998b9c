"""A user who makes calls by voice, with the double that has them and the Redis that keeps them."""

import json
from typing import Any
from uuid import uuid4

import httpx

from tests.api import Api, User, config
from tests.doubles.ultravox import Call, Course, UltravoxDouble
from tests.processes import Valkey, eventually

WORK = "{calls}:due"


def voice_config(url: str, key: str, **members: Any) -> dict[str, Any]:
    """An Ultravox endpoint at a double; `members` as in a tenant's config."""
    endpoint = {"url": f"{url}/api/calls", "api_key": key, "voice": "Mark", **members}
    return config() | {"providers": {"realtime": {"endpoints": {"ultravox": endpoint}}}}


class Caller:
    def __init__(self, user: User, double: UltravoxDouble, valkey: Valkey, key: str) -> None:
        self.user = user
        self.double = double
        self.valkey = valkey
        self.key = key
        """At the provider; by it the double knows the test."""

    @classmethod
    def new(
        cls, client: httpx.Client, double: UltravoxDouble, valkey: Valkey, **members: Any
    ) -> "Caller":
        key = f"uv-{uuid4().hex}"
        api = Api.new_tenant(client, voice_config(double.url, key, **members))
        return cls(api.login().become_permanent(), double, valkey, key)

    @property
    def api(self) -> Api:
        return self.user.api

    def put(self, value: dict[str, Any]) -> None:
        assert self.api.put_config(value).status_code == 200

    def config(self, **members: Any) -> dict[str, Any]:
        return voice_config(self.double.url, self.key, **members)

    def ask(self, **body: Any) -> httpx.Response:
        return self.api.post("/realtime/calls", body, self.user.headers)

    def call(self, *courses: Course, **body: Any) -> Call:
        """Makes a call that goes as scripted."""
        if courses:
            self.double.script(self.key, *courses)
        reply = self.ask(**body)
        assert reply.status_code == 201, reply.text
        (found,) = [
            call for call in self.double.calls(self.key) if call.call_id == reply.json()["callId"]
        ]
        return found

    def talk(self, call: Call, seconds: float, bills_after: float = 5) -> None:
        """Somebody joins, and hangs up so much later."""
        self.double.join(call)
        self.double.advance(seconds)
        self.double.hang_up(call)
        self.double.advance(bills_after)

    def see(self, call: Call) -> dict[str, Any]:
        reply = self.api.get(f"/realtime/calls/{call.call_id}", self.user.headers)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def hang_up(self, call: Call) -> httpx.Response:
        path = f"/{self.api.tenant_id}/realtime/calls/{call.call_id}"
        return self.api.client.delete(path, headers=self.user.headers)

    def name(self, call: Call) -> str:
        """In the work list, '' if it is not there."""
        names = self.valkey.client.zrange(WORK, 0, -1)
        return next((str(name) for name in names if call.call_id in str(name)), "")

    def look(self, call: Call) -> None:
        """Has it looked at; returns when that is done."""
        self.valkey.client.zadd(WORK, {self.name(call): 0}, xx=True)
        eventually(lambda: not self.name(call) or self._is_planned(call))

    def _is_planned(self, call: Call) -> bool:
        """Whoever looks has a lease of 30 s, and then plans otherwise."""
        seconds = self.due_in(call)
        return 1 < seconds < 25 or seconds > 31

    def due_in(self, call: Call) -> float:
        """Seconds until it is looked at."""
        score = self.valkey.client.zscore(WORK, self.name(call))
        now, micros = self.valkey.client.time()
        return float(score or 0) / 1000 - now - micros / 1e6

    def settled(self, call: Call) -> None:
        """Has it looked at until it is settled."""
        if self.name(call):
            self.look(call)
        eventually(lambda: not self.name(call))

    def record(self, call: Call) -> dict[str, Any]:
        text = self.valkey.client.hget(f"{{user:{self.user.user_id}}}:calls", call.call_id)
        return dict(json.loads(str(text))) if text else {}

    def age(self, call: Call, seconds: float) -> None:
        """As if it had been made so much earlier."""
        record, key = self.record(call), f"{{user:{self.user.user_id}}}:calls"
        for name in ("created_ms", "ends_ms"):
            record[name] -= int(seconds * 1000)
        self.valkey.client.hset(key, call.call_id, json.dumps(record))

    @property
    def held(self) -> int:
        text = self.valkey.client.get(f"user:{self.user.user_id}")
        return sum(hold[0] for hold in dict(json.loads(str(text))["holds"] or {}).values())

    @property
    def left(self) -> int:
        return int(self.user.balance()["tokensLeft"])
