"""An account: its world, where its events go, and what its API was asked."""

import re
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.stripe_api.delivery import Delivery
from tests.doubles.stripe_api.subscriptions import let_time_change, next_change
from tests.doubles.stripe_api.world import Object, World


@dataclass
class Fault:
    """Of the next `times` requests whose `GET /v1/...` matches: this `status` instead of an answer,
    after so many `seconds`; `lose`: it is done, and then the connection is cut."""

    matches: str
    times: int = 1
    status: int = 0
    seconds: float = 0
    lose: bool = False


@dataclass
class Kept:
    """For an Idempotency-Key: what was asked with it, and the answer."""

    asked: Any
    status: int
    body: Object


@dataclass
class Account:
    api_key: str
    world: World
    delivery: Delivery
    faults: list[Fault] = field(default_factory=list)
    kept: dict[str, Kept] = field(default_factory=dict)
    asked: list[Object] = field(default_factory=list)

    def fault_of(self, request: str) -> Fault | None:
        """The next fault that is for it, used up."""
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.matches, request):
                fault.times -= 1
                return fault
        return None

    def advance(self, to: int) -> None:
        """Moves the clock, and lets all happen that time brings, in its order."""
        world = self.world
        while True:
            due = [
                (at, each["id"], each)
                for each in world.all("subscription")
                if (at := next_change(each)) is not None and at <= to
            ]
            if not due:
                break
            at, _, subscription = min(due)
            world.move_clock(at)
            let_time_change(world, subscription)
        world.move_clock(to)


def new_account(api_key: str) -> Account:
    delivery = Delivery()
    return Account(api_key, World(api_key.startswith("sk_live_"), delivery.tell), delivery)
