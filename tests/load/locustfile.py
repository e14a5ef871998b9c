"""Users for locust: those who spend, those who chat, and backends that hold and settle.

    python -m tests.load                                       # a server of its own; see there
    locust -f tests/load/locustfile.py --host URL --tenant T   # locust's own page, or its options

Each user logs in, spends until the answer is 402, and comes back as a new user. At the end what
each was told that it spent is held against its balance and its ledger. A wrong sum, a reply of 5xx
or any other that is not foreseen is a failure, and makes locust end with exit status 1.
"""

import logging
import random
import time
from collections.abc import Collection
from typing import Any

import gevent  # type: ignore[import-untyped]
from locust import FastHttpUser, between, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import STATE_RUNNING, STATE_SPAWNING

from tests.load.accounts import Account, Accounts
from tests.load.chats import HEADERS, PATHS, Stream, request_body, used_in

accounts = Accounts()
logging.getLogger("httpx").setLevel(logging.WARNING)


def add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--tenant", default="abc", help="whose users they are")
    parser.add_argument("--chats", action="store_true", help="call the tenant's providers as well")


def forget_accounts(environment: Environment, **_: Any) -> None:
    assert environment.parsed_options is not None
    accounts.base = f"{environment.host}/{environment.parsed_options.tenant}"
    accounts.made.clear()


def check_sums(environment: Environment, **_: Any) -> None:
    """A line for each wrong sum among locust's failures."""
    began = time.perf_counter()
    faults = accounts.faults()
    for fault in faults:
        report(environment, "sums", began, Exception(fault))
    if not faults:
        report(environment, "sums", began)
    told = sum(account.told for account in accounts.made)
    print(
        f"{len(accounts.made):,} users were told that they spent {told:,} tokens; "
        f"{len(faults)} sums are wrong",
        flush=True,
    )


def report(
    environment: Environment, name: str, began: float, exception: Exception | None = None
) -> None:
    """Something that locust did not measure itself, `began` on time.perf_counter's clock."""
    environment.events.request.fire(
        request_type="",
        name=name,
        response_time=(time.perf_counter() - began) * 1000,
        response_length=0,
        exception=exception,
        context={},
    )


events.init_command_line_parser.add_listener(add_options)
events.test_start.add_listener(forget_accounts)
events.test_stop.add_listener(check_sums)


class AppUser(FastHttpUser):
    """A user of an app, with a pause to think between two calls."""

    abstract = True
    insecure = False  # locust's default is not to verify certificates
    wait_time = between(0.1, 0.9)
    account: Account

    def on_start(self) -> None:
        self.log_in()

    def log_in(self) -> None:
        """As a new user, as soon as the server lets it."""
        login: dict[str, Any] = {}
        while not login:
            reply = self.client.post(
                self.path("/auth/anonymous"), name="login", catch_response=True
            )
            with reply as response:
                if response.status_code == 200:
                    login = response.json()
                elif self.is_limited(response):
                    continue
                else:
                    response.failure(f"status {response.status_code}")
                    self.pause(1)
        self.account = Account(login["userId"], {"Authorization": f"Bearer {login['apiKey']}"})
        accounts.made.append(self.account)

    def call(
        self, name: str, method: str, path: str, expected: Collection[int], body: object = None
    ) -> Any:
        """The reply of an expected status, with `json()`; None when it was 402 or 429."""
        with self.client.request(
            method,
            self.path(path),
            name=name,
            json=body,
            headers=self.account.headers,
            catch_response=True,
        ) as response:
            if response.status_code in expected:
                response.success()
                return response
            self.refused(response)
        return None

    def refused(self, response: Any) -> None:
        if self.is_limited(response):
            return
        if response.status_code == 402:
            response.request_meta["name"] += ", 402"
            response.success()
            self.log_in()
            return
        self.account.unanswered += 1
        response.failure(f"status {response.status_code}")

    def is_limited(self, response: Any) -> bool:
        """429, which is obeyed."""
        if response.status_code != 429:
            return False
        response.request_meta["name"] += ", 429"
        response.success()
        self.pause(int(response.headers["retry-after"]))
        return True

    def pause(self, seconds: float) -> None:
        """A long one, which ends the user when the time of the test is up."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            gevent.sleep(min(0.5, seconds))
            runner = self.environment.runner
            if runner is None or runner.state not in (STATE_SPAWNING, STATE_RUNNING):
                raise StopUser

    def path(self, path: str) -> str:
        return f"/{self.environment.parsed_options.tenant}{path}"

    @task(1)
    def look(self) -> None:
        self.call("balance", "GET", "/balance", (200,))


class Spender(AppUser):
    """Charges, as an app's backend does for what it knows the price of."""

    weight = 5

    @task(9)
    def charge(self) -> None:
        tokens, account = random.randint(1, 9), self.account
        if self.call("charge", "POST", "/charges", (200,), {"tokens": tokens}):
            account.told += tokens


class Backend(AppUser):
    """Holds tokens, works for a moment, and settles to what the work cost."""

    weight = 2

    @task(4)
    def hold_and_settle(self) -> None:
        tokens, account = random.randint(5, 20), self.account
        held = self.call("hold", "POST", "/holds", (201,), {"tokens": tokens})
        if not held:
            return
        gevent.sleep(random.uniform(0.05, 0.3))
        path = f"/holds/{held.json()['holdId']}/settle"
        body = {"tokens": random.randint(0, tokens)}
        settled = self.call("settle", "POST", path, (200,), body)
        if settled:
            account.told += settled.json()["tokens"]


class Chatter(AppUser):
    """Talks to a model, mostly with streams, by either SDK's protocol; looks on without --chats."""

    weight = 3

    @task(2)
    def chat(self) -> None:
        if not self.environment.parsed_options.chats:
            return
        protocol, account = random.choice(list(PATHS)), self.account
        body = request_body(protocol, stream=False)
        reply = self.call("chat", "POST", PATHS[protocol], (200,), body)
        if reply:
            account.told += used_in(reply.json()["usage"])

    @task(6)
    def stream(self) -> None:
        if not self.environment.parsed_options.chats:
            return
        protocol, account = random.choice(list(PATHS)), self.account
        began, stream = time.perf_counter(), Stream(protocol)
        with self.client.post(
            self.path(PATHS[protocol]),
            name="chat, streamed: its head",
            json=request_body(protocol, stream=True),
            headers={**account.headers, **HEADERS},
            stream=True,
            catch_response=True,
        ) as response:
            if response.status_code != 200:
                self.refused(response)
                return
            response.success()
            for chunk in response.iter_content(65536, decode_content=False):
                stream.feed(chunk)
        account.told += stream.used
        account.unanswered += not stream.is_whole
        fault = None if stream.is_whole else Exception("the stream was cut")
        report(self.environment, "chat, streamed: to its end", began, fault)
