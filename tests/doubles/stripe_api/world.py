"""World: all that an account has, its clock, and what is told of it."""

import json
import time
from collections.abc import Callable
from copy import deepcopy
from itertools import count
from typing import Any

Object = dict[str, Any]

API_VERSION = "2026-10-28.endive"
_PREFIXES = {
    "product": "prod",
    "price": "price",
    "customer": "cus",
    "checkout.session": "cs",
    "subscription": "sub",
    "subscription_item": "si",
    "invoice": "in",
    "line_item": "il",
    "invoice_payment": "inpay",
    "payment_intent": "pi",
    "charge": "ch",
    "refund": "re",
    "dispute": "du",
    "billing_portal.session": "bps",
    "event": "evt",
}


class Refused(Exception):
    """What Stripe answers instead."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": kind, "message": message}}


class World:
    """`told` is called with each event."""

    def __init__(self, livemode: bool, told: Callable[[Object], None]) -> None:
        self.livemode = livemode
        self.url = ""
        self.old_periods = False
        """Subscriptions have their period as before API version basil, and invoices theirs."""
        self.ending = "canceled"
        """Of a subscription that is not paid at last; or `unpaid`."""
        self.stands_at = 0
        """Seconds; the clock moves by hand alone. 0: it goes."""
        self._ahead = 0
        self._told = told
        self._numbers = count(1)
        self._objects: dict[str, dict[str, Object]] = {}
        self._serial = f"{time.time_ns():x}"

    @property
    def now(self) -> int:
        return self._clock() + self._ahead

    def move_clock(self, to: int) -> None:
        """Never back."""
        self._ahead = max(to - self._clock(), self._ahead)

    def _clock(self) -> int:
        return self.stands_at or int(time.time())

    def add(self, kind: str, **members: Any) -> Object:
        mode = "" if kind != "checkout.session" else "live_" if self.livemode else "test_"
        new_id = f"{_PREFIXES[kind]}_{mode}{self._serial}{next(self._numbers)}"
        made = {
            "id": new_id,
            "object": kind,
            "created": self.now,
            "livemode": self.livemode,
            **members,
        }
        self._objects.setdefault(kind, {})[new_id] = made
        return made

    def all(self, kind: str) -> list[Object]:
        """The oldest first."""
        return [*self._objects.get(kind, {}).values()]

    def find(self, kind: str, wanted: Any) -> Object:
        """Raises Refused."""
        found = self._objects.get(kind, {}).get(wanted)
        if found is None or found.get("deleted"):
            raise Refused(404, f"No such {kind}: '{wanted}'")
        return found

    def any(self, wanted: Any) -> Object | None:
        """Whatever has this ID."""
        for objects in self._objects.values():
            if isinstance(wanted, str) and wanted in objects:
                return objects[wanted]
        return None

    def tell(self, kind: str, what: Object, previous: Object | None = None) -> None:
        data: Object = {"object": self.shown(what)}
        if previous is not None:
            data["previous_attributes"] = previous
        request = {"id": None, "idempotency_key": None}
        self._told(
            self.add("event", type=kind, data=data, api_version=API_VERSION, request=request)
        )

    def shown(self, what: Object) -> Object:
        """As the API has it, in a copy: names that begin with _ are the double's own."""
        own = {name: value for name, value in what.items() if not name.startswith("_")}
        shown: Object = json.loads(json.dumps(own))
        if self.old_periods and shown["object"] == "subscription":
            (item,) = shown["items"]["data"]
            for name in ("current_period_start", "current_period_end"):
                shown[name] = item.pop(name)
        if self.old_periods and shown["object"] == "invoice":
            details = shown.pop("parent")["subscription_details"]
            shown["subscription"] = details["subscription"]
            for line in shown["lines"]["data"]:
                line["price"] = {"id": line.pop("pricing")["price_details"]["price"]}
                line["proration"] = line.pop("parent")["subscription_item_details"]["proration"]
        return shown

    def expanded(self, what: Object, paths: list[str]) -> Object:
        """With whole objects instead of the IDs at these paths."""
        shown = self.shown(what) if "id" in what else deepcopy(what)
        for path in paths:
            self._expand(shown, path.split("."))
        return shown

    def _expand(self, place: Any, parts: list[str]) -> None:
        if isinstance(place, list):
            for each in place:
                self._expand(each, parts)
            return
        if not isinstance(place, dict) or parts[0] not in place:
            return
        found = self.any(place[parts[0]])
        if found is not None:
            place[parts[0]] = self.shown(found)
        if parts[1:]:
            self._expand(place[parts[0]], parts[1:])
