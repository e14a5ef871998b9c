"""Random sequences of requests against a model in plain Python, on the real server.

EXAMPLES says how many; `make test-faults` has more of them than `make test`.
"""

import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.api import ADMIN, GROUPS, Api, User, config
from tests.metering.model import LARGEST, Account, Group, Reply, check
from tests.processes import Valkey

DAY_MS = 86_400_000
EXAMPLES = int(os.environ.get("EXAMPLES", "15"))

ALL = -1
"""An amount: all that the user has left."""

small = st.integers(1, 20)
amounts = small | small | st.sampled_from([ALL, LARGEST // 2, LARGEST - 1, LARGEST])
balances = (
    st.integers(0, 100)
    | st.integers(0, 100)
    | st.sampled_from([LARGEST // 2, LARGEST - 1, LARGEST])
)
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
        self.made: list[User] = []
        self.sent: list[Callable[[], None]] = []

    @precondition(lambda self: len(self.made) < 2)
    @rule(target=users)
    def login(self) -> User:
        """Two users at most, so that requests meet what earlier ones left."""
        user = self.api.login()
        self.made.append(user)
        group = self.groups["anonymous"]
        account = Account(
            "anonymous", group["tokens"], group["rate_limit"], group["rate_limit_window"]
        )
        self.accounts[user.user_id] = account
        check(self.accounts[user.user_id], user, self.valkey)
        return user

    @rule(name=names, group=groups)
    def change_config(self, name: str, group: Group) -> None:
        self.groups[name] = group
        assert self.api.put_config(config(**self.groups)).status_code == 200

    @rule(user=users, tokens=amounts, once=once_keys)
    def charge(self, user: User, tokens: int, once: str | None) -> None:
        tokens = self.amount(user, tokens)
        self.sent += [partial(self.charge, user, tokens, once)] if once else []
        expected = self.accounts[user.user_id].charge(tokens, once)
        self.expect(expected, user, user.charge(tokens, **once_header(once)))

    @rule(user=users, wanted=amounts, minimum=amounts, once=once_keys)
    def hold(self, user: User, wanted: int, minimum: int, once: str | None) -> None:
        account, wanted = self.accounts[user.user_id], self.amount(user, wanted)
        minimum = min(self.amount(user, minimum), wanted)
        self.sent += [partial(self.hold, user, wanted, minimum, once)] if once else []
        expected = account.hold(wanted, minimum, once)
        body = {"tokens": wanted, "minimum": minimum}
        reply = self.api.post("/holds", body, {**user.headers, **once_header(once)})
        if expected[0] == 201 and "holdId" not in expected[1]:
            made = reply.json()
            assert made["holdId"] not in account.holds | account.settled
            account.note_hold(expected, made["holdId"], made["expiresAt"])
        self.expect(expected, user, reply)

    @precondition(lambda self: any(a.holds or a.settled for a in self.accounts.values()))
    @rule(user=users, which=st.integers(0, 9), tokens=balances)
    def settle(self, user: User, which: int, tokens: int) -> None:
        """Of an open hold, one that is settled, or one that there never was."""
        account = self.accounts[user.user_id]
        hold_ids = [*account.holds, *account.settled, "0" * 32]
        hold_id = hold_ids[which % len(hold_ids)]
        self.sent.append(partial(self.settle_one, user, hold_id, tokens))
        self.settle_one(user, hold_id, tokens)

    def settle_one(self, user: User, hold_id: str, tokens: int) -> None:
        account = self.accounts[user.user_id]
        reply = self.api.post(f"/holds/{hold_id}/settle", {"tokens": tokens}, user.headers)
        self.expect(account.settle(hold_id, tokens), user, reply)

    @precondition(lambda self: any(a.holds for a in self.accounts.values()))
    @rule(user=users)
    def holds_expire(self, user: User) -> None:
        key = f"user:{user.user_id}"
        stored = json.loads(str(self.valkey.client.get(key)))
        for hold in stored["holds"].values():
            hold[1] = 1
        self.valkey.client.set(key, json.dumps(stored), keepttl=True)
        self.accounts[user.user_id].lose_holds()
        check(self.accounts[user.user_id], user, self.valkey)

    @precondition(lambda self: any(a.admitted for a in self.accounts.values()))
    @rule(user=users)
    def window_passes(self, user: User) -> None:
        key = f"{{user:{user.user_id}}}:rate"
        times = [int(time) for time in self.valkey.client.lrange(key, 0, -1)]
        for number, time in enumerate(times):
            self.valkey.client.lset(key, number, str(time - DAY_MS))
        self.accounts[user.user_id].admitted = 0
        check(self.accounts[user.user_id], user, self.valkey)

    @rule(user=users, tokens=amounts, once=once_keys)
    def grant_tokens(self, user: User, tokens: int, once: str | None) -> None:
        tokens = self.amount(user, tokens)
        self.sent += [partial(self.grant_tokens, user, tokens, once)] if once else []
        expected = self.accounts[user.user_id].grant_tokens(tokens, once)
        self.expect(expected, user, user.grant({"tokens": tokens}, **once_header(once)))

    @rule(user=users, name=names, once=once_keys)
    def grant_group(self, user: User, name: str, once: str | None) -> None:
        expected = self.accounts[user.user_id].grant_group(name, self.groups[name], once)
        self.expect(expected, user, user.grant({"group": name}, **once_header(once)))

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 9))
    def repeat(self, which: int) -> None:
        """A settle, or a request with an Idempotency-Key, as it was sent before."""
        self.sent[which % len(self.sent)]()

    def teardown(self) -> None:
        for user in self.made[:1]:
            self.revoke(user)

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
        check(self.accounts[user.user_id], user, self.valkey)


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
            max_examples=EXAMPLES,
            stateful_step_count=30,
            # Shrinking a failure takes minutes: add Phase.shrink to look into one.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
