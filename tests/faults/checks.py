"""What must be true of the money afterwards."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from typing import Any, NamedTuple

import redis

from tests.faults.topologies import Redis
from tests.faults.traffic import Client, Intent, Traffic
from tests.processes import ROOT


def audit(url: str, tenant_id: str) -> None:
    """The audit finds nothing."""
    command = [sys.executable, "-m", "server", "audit", "--tenant", tenant_id]
    env = {"REDIS_URL": url, "REDIS_TIMEOUT": "5"}
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout, done.stdout


def user_and_ledger(
    made: Redis, user_id: str
) -> tuple[dict[str, Any], list[tuple[int, int, str, int, int, dict[str, Any]]]]:
    """From whichever primary has the user; the ledger oldest first."""
    for client in made.primaries():
        try:
            stored = client.get(f"user:{user_id}")
            entries = client.lrange(f"{{user:{user_id}}}:ledger", 0, -1)
        except redis.ResponseError:  # MOVED
            continue
        if stored is not None:
            return json.loads(str(stored)), [tuple(json.loads(e)) for e in reversed(entries)]
    raise AssertionError(f"user {user_id} is lost")


class Loss(NamedTuple):
    """Which acknowledged changes Redis itself may have lost, on time.monotonic's clock.

    All that were acknowledged before `since` or after `until` are there. Of a user's changes
    acknowledged from `since` to `fault` a prefix survives; any of those after it may.
    """

    since: float
    fault: float
    until: float


NO_LOSS = Loss(0, 0, 0)


class Verdict:
    """Holds what the clients recorded against the ledgers."""

    def __init__(self, made: Redis, traffic: Traffic, loss: Loss = NO_LOSS) -> None:
        self.lost = 0
        self.unanswered = 0
        self.unanswered_but_done = 0
        self._loss = loss
        if loss != NO_LOSS:
            assert traffic.first_acknowledged_at() < loss.since, "there is something to be kept"
        for client in traffic.clients:
            self._check(made, client)
        audit(made.url, traffic.tenant_id)

    def _check(self, made: Redis, client: Client) -> None:
        user, entries = user_and_ledger(made, client.user_id)
        assert user["tokensLeft"] >= 0
        assert [entry[0] for entry in entries] == list(range(1, len(entries) + 1)), "numbers"
        by_request = Counter(entry[5].get("requestId") for entry in entries)
        changes = {entry[5].get("requestId"): (entry[2], entry[3]) for entry in entries}
        missing_from = None
        for intent in client.intents:
            found = [r for r in intent.request_ids for _ in range(by_request[r])]
            assert len(found) <= 1, f"done twice: {intent}"
            if found:
                self._check_change(intent, changes[found[0]])
            at = intent.acknowledged_at
            if at is None:
                assert not (intent.refused and found), f"refused, and done: {intent}"
                self.unanswered += not intent.refused
                self.unanswered_but_done += bool(found)
                continue
            if not found:
                is_late = self._loss.since <= at < self._loss.until
                assert is_late, f"acknowledged, and not in the ledger: {intent}"
                missing_from = missing_from or intent
                self.lost += 1
            elif at < self._loss.fault:
                assert missing_from is None, f"lost {missing_from}, but not {intent}"

    @staticmethod
    def _check_change(intent: Intent, change: tuple[str, int]) -> None:
        op, tokens = change
        if intent.op in ("charge", "hold"):
            assert (op, tokens) == (intent.op, -intent.tokens), intent
        elif intent.op == "grant":
            assert (op, tokens) == ("grant", intent.tokens), intent
        else:
            assert op == ("settle" if intent.tokens else "release"), intent


async def check(made: Redis, traffic: Traffic, loss: Loss = NO_LOSS) -> Verdict:
    return await asyncio.to_thread(Verdict, made, traffic, loss)
