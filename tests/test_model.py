"""Random sequences of requests against a model in plain Python, on the real server."""

import json
from collections import Counter
from typing import Any

import httpx
import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.api import ADMIN, GROUPS, Api, User, config
from tests.model import LARGEST, Account, Group, Reply
from tests.processes import Valkey

DAY_MS = 86_400_000

ALL = -1
"""An amount: all that the user has left."""

small = st.integers(1, 20)
amounts = small | small | st.sampled_from([ALL, LARGEST // 2, LARGEST - 1, LARGEST])
balances = st.integers(0, 100) | st.sampled_from([LARGEST // 2, LARGEST - 1, LARGEST])
once_keys = st.none() | st.sampled_from(["a", "b"])
names = st.sampled_from(["anonymous", "paid"])
groups = st.fixed_dictionaries(
    {
        "tokens": balances,
        "rate_limit": st.integers(1, 6) | st.just(10_000),
        # Long, so that a request leaves its window only when the test says so.
        "rate_limit_window": st.sampled_from([3_600, 86_400]),
    }
)


class Machine(RuleBasedStateMachine):
    """Each rule sends one request, and asks the model what the reply must be."""

    users = Bundle("users")

    def __init__(self, client: httpx.Client, valkey: Valkey) -> None:
        super().__init__()
        self.valkey = valkey
        self.groups: dict[str, Group] = dict(GROUPS)
        self.api = Api.new_tenant(client)
        self.accounts: dict[str, Account] = {}

    @precondition(lambda self: sum(not a.revoked for a in self.accounts.values()) < 2)
    @rule(target=users)
    def login(self) -> User:
        """Two users at a time, so that most requests meet what earlier ones left."""
        user = self.api.login()
        group = self.groups["anonymous"]
        account = Account(
            "anonymous", group["tokens"], group["rate_limit"], group["rate_limit_window"]
        )
        self.accounts[user.user_id] = account
        self.check(user)
        return user

    @rule(name=names, group=groups)
    def change_config(self, name: str, group: Group) -> None:
        self.groups[name] = group
        assert self.api.put_config(config(**self.groups)).status_code == 200

    @rule(user=users, tokens=amounts, once=once_keys)
    def charge(self, user: User, tokens: int, once: str | None) -> None:
        tokens = self.amount(user, tokens)
        expected = self.accounts[user.user_id].charge(tokens, once)
        self.expect(expected, user, user.charge(tokens, **once_header(once)))

    @rule(user=users, wanted=amounts, minimum=amounts, once=once_keys)
    def hold(self, user: User, wanted: int, minimum: int, once: str | None) -> None:
        account, wanted = self.accounts[user.user_id], self.amount(user, wanted)
        minimum = min(self.amount(user, minimum), wanted)
        expected = account.hold(wanted, minimum, once)
        body = {"tokens": wanted, "minimum": minimum}
        reply = self.api.post("/holds", body, {**user.headers, **once_header(once)})
        if expected[0] == 201 and "holdId" not in expected[1]:
            made = reply.json()
            assert made["holdId"] not in account.holds | account.settled
            account.note_hold(expected, made["holdId"], made["expiresAt"])
        self.expect(expected, user, reply)

    @rule(user=users, which=st.integers(0, 9), tokens=balances)
    def settle(self, user: User, which: int, tokens: int) -> None:
        """Of an open hold, one that is settled, or one that there never was."""
        account = self.accounts[user.user_id]
        hold_ids = [*account.holds, *account.settled, "0" * 32]
        self.settle_one(user, hold_ids[which % len(hold_ids)], tokens)

    def settle_one(self, user: User, hold_id: str, tokens: int) -> None:
        account = self.accounts[user.user_id]
        reply = self.api.post(f"/holds/{hold_id}/settle", {"tokens": tokens}, user.headers)
        self.expect(account.settle(hold_id, tokens), user, reply)

    @rule(user=users)
    def holds_expire(self, user: User) -> None:
        key = f"user:{user.user_id}"
        stored = json.loads(str(self.valkey.client.get(key)))
        for hold in stored["holds"].values():
            hold[1] = 1
        self.valkey.client.set(key, json.dumps(stored), keepttl=True)
        self.accounts[user.user_id].lose_holds()
        self.check(user)

    @rule(user=users)
    def window_passes(self, user: User) -> None:
        key = f"{{user:{user.user_id}}}:rate"
        times = [int(time) for time in self.valkey.client.lrange(key, 0, -1)]
        for number, time in enumerate(times):
            self.valkey.client.lset(key, number, str(time - DAY_MS))
        self.accounts[user.user_id].admitted = 0
        self.check(user)

    @rule(user=users, tokens=amounts, once=once_keys)
    def grant_tokens(self, user: User, tokens: int, once: str | None) -> None:
        tokens = self.amount(user, tokens)
        expected = self.accounts[user.user_id].grant_tokens(tokens, once)
        self.expect(expected, user, user.grant({"tokens": tokens}, **once_header(once)))

    @rule(user=users, name=names, once=once_keys)
    def grant_group(self, user: User, name: str, once: str | None) -> None:
        expected = self.accounts[user.user_id].grant_group(name, self.groups[name], once)
        self.expect(expected, user, user.grant({"group": name}, **once_header(once)))

    @rule(user=consumes(users))
    def revoke(self, user: User) -> None:
        """From then on there is nothing for the user, but still for the administrator."""
        path = f"/{self.api.tenant_id}/admin/keys/{user.api_key}"
        codes = [self.api.client.delete(path, headers=ADMIN).status_code for _ in range(2)]
        assert codes == [204, 404]
        account = self.accounts[user.user_id]
        account.revoked = True
        self.charge(user, 1, "a")
        self.hold(user, 1, 1, None)
        self.settle_one(user, next(iter(account.holds), "0" * 32), 0)
        self.grant_group(user, "paid", None)

    def amount(self, user: User, tokens: int) -> int:
        return max(self.accounts[user.user_id].tokens_left, 1) if tokens == ALL else tokens

    def expect(self, expected: Reply, user: User, reply: httpx.Response) -> None:
        body = reply.json()
        body.pop("details", None)
        assert (reply.status_code, body) == expected
        self.check(user)

    def check(self, user: User) -> None:
        """What the user and the administrator see, and what Redis has, is what the model says."""
        account = self.accounts[user.user_id]
        own = self.api.get("/balance", user.headers)
        assert own.status_code == (401 if account.revoked else 200)
        if account.revoked:
            own = self.api.get(f"/admin/users/{user.user_id}", ADMIN)
        seen = own.json()
        assert (seen.pop("expiresAt") is None) == account.permanent
        assert seen.pop("createdAt")
        assert seen == {
            "userId": user.user_id,
            "group": account.group,
            "tokensLeft": account.tokens_left,
            "tokensHeld": account.held,
            "tokensUsed": account.tokens_used,
            "rateLimit": account.limit,
            "rateLimitWindow": account.window,
            "rateRemaining": max(account.limit - account.admitted, 0),
        }
        if not account.revoked:
            self.check_ledger(account, user)
        self.check_stored(account, user)

    def check_ledger(self, account: Account, user: User) -> None:
        entries = self.api.get("/ledger?limit=200", user.headers).json()["entries"][::-1]
        assert Counter((entry["op"], entry["tokens"]) for entry in entries) == account.ledger
        assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
        tokens_left = 0
        for entry in entries:
            tokens_left += entry["tokens"]
            assert entry["tokensLeft"] == tokens_left
        assert tokens_left == account.tokens_left

    def check_stored(self, account: Account, user: User) -> None:
        client, key = self.valkey.client, f"user:{user.user_id}"
        stored: dict[str, Any] = json.loads(str(client.get(key)))
        held = sum(hold[0] for hold in stored["holds"].values())
        amounts = [stored[name] for name in ("tokensLeft", "tokensUsed", "tokensGranted")]
        assert {type(amount) for amount in amounts} == {int}
        assert amounts == [account.tokens_left, account.tokens_used, account.tokens_granted]
        assert stored["tokensGranted"] == stored["tokensLeft"] + held + stored["tokensUsed"]
        assert stored["tokensLeft"] >= 0
        if not account.revoked:
            assert client.pexpiretime(f"apiKey:{user.api_key}") == client.pexpiretime(key)


def once_header(once: str | None) -> dict[str, Any]:
    return {"Idempotency-Key": once} if once else {}


def test_the_server_does_what_the_model_says(client: httpx.Client, valkey: Valkey) -> None:
    class OnThisServer(Machine):
        def __init__(self) -> None:
            super().__init__(client, valkey)

    run_state_machine_as_test(
        OnThisServer,
        settings=settings(
            derandomize=True,
            database=None,
            deadline=None,
            max_examples=70,
            stateful_step_count=30,
            # Shrinking a failure takes minutes: add Phase.shrink to look into one.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
