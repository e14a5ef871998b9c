"""Many calls by the users of a tenant, and whether each was charged what it may be."""

import asyncio
import os
import signal
from collections import defaultdict
from functools import partial

import httpx

from tests.api import Api, User
from tests.doubles import Call, Double
from tests.endpoints import text_config
from tests.faults.checks import audit
from tests.faults.endings import SECOND, Books, Case, Outcome, call_all, endpoints_at
from tests.faults.kinds_of_endings import ANY
from tests.hurried import Hurried
from tests.processes import Server, Valkey, eventually, until

USERS = 40
TOKENS = 10**7


class Batch:
    """Cases, and the users of a new tenant that make them."""

    def __init__(
        self, server: Server, valkey: Valkey, double: Double, second: Double | None = None
    ) -> None:
        """`second`: the double to fall back on."""
        self._server, self._valkey = server, valkey
        self._double, self._second = double, second
        group = {"tokens": TOKENS, "rate_limit": 10_000, "rate_limit_window": 60}
        endpoints = endpoints_at(double.url, (second or double).url)
        config = text_config(endpoints, [SECOND] if second else None, anonymous=group, paid=group)
        with httpx.Client(base_url=server.url, timeout=20) as client:
            self.api = Api.new_tenant(client, config)
            self.users = [self.api.login().become_permanent() for _ in range(USERS)]

    def run(self, cases: list[Case]) -> list[Outcome]:
        at_once = 100 if isinstance(self._server, Hurried) else 48
        return asyncio.run(self.call(cases, at_once))

    async def call(self, cases: list[Case], at_once: int) -> list[Outcome]:
        for case in cases:
            self._double.script(case.key, case.before or case.answer)
            if self._second is not None:
                self._second.script(case.key, case.answer)
        made = [(case, self._user(case)) for case in cases]
        return await call_all(self._server.url, self._double, made, at_once)

    def check(self, cases: list[Case], outcomes: list[Outcome]) -> None:
        double = self._second or self._double
        calls = {call.key: call for call in double.calls()}
        assert len(calls) == len(double.calls()), "a call was made twice"
        eventually(lambda: all(call.ended for call in calls.values()))
        books: dict[User, list[tuple[Case, Outcome, Call | None]]] = defaultdict(list)
        for case, outcome in zip(cases, outcomes, strict=True):
            self._check_status(case, outcome)
            books[self._user(case)].append((case, outcome, calls.get(case.key)))
        with httpx.Client(base_url=self._server.url, timeout=20) as client:
            self.api.client = client
            for user, made in books.items():
                eventually(partial(_has_nothing_held, user))
                Books(user, TOKENS).check(made)
        audit(self._valkey.url, self.api.tenant_id)

    @staticmethod
    def _check_status(case: Case, outcome: Outcome) -> None:
        if outcome.status is None:
            assert outcome.is_killed or case.leaves == "before the head", case
        else:
            assert case.status in (outcome.status, ANY), f"{outcome}: {case}"

    def _user(self, case: Case) -> User:
        return self.users[case.seed % USERS]


def _has_nothing_held(user: User) -> bool:
    return bool(user.balance()["tokensHeld"] == 0)


async def call_and_kill(
    server: Server, double: Double, batch: Batch, cases: list[Case]
) -> list[Outcome]:
    """Kills a worker while all calls are under way; those of the other one come to their end."""
    calls = asyncio.create_task(batch.call(cases, len(cases)))
    stops = {case.key: case.stream * (case.answer.stop_at or 0) for case in cases}

    def are_under_way() -> bool:
        waiting = [call for call in double.calls() if call.steps == stops.get(call.key)]
        return len(waiting) == len(cases)

    await until(lambda: calls.done() or are_under_way())
    pid = server.worker_pids()[0]
    os.kill(pid, signal.SIGKILL)
    await until(lambda: pid not in server.worker_pids())
    for case in cases:
        double.release(case.key)
    return await calls
