"""`POST /operator/<api_key>/...`: what buyers, banks, time and the operator of a test do.

`account` makes one, and changes what is given of: endpoint (URL), secrets, old_periods, ending,
stands_at (of its clock), and of `delivery` the members of Faults.
"""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.doubles.stripe_api import money_back, sessions, subscriptions
from tests.doubles.stripe_api.account import Account, Fault, new_account
from tests.doubles.stripe_api.delivery import Faults
from tests.doubles.stripe_api.guard import ACCOUNTS
from tests.doubles.stripe_api.world import Object, Refused

Does = Callable[[Account, dict[str, Any]], object]


async def operate(request: web.Request) -> web.Response:
    """What it did, or waited for; 400 and the reason where that cannot be."""
    api_key, what = request.match_info["api_key"], request.match_info["what"]
    accounts = request.app[ACCOUNTS]
    body = await request.json()
    if what == "account":
        _settle(accounts.setdefault(api_key, new_account(api_key)), request, body)
        return web.json_response({})
    account = accounts[api_key]
    if what in ("release", "finish"):
        if what == "release":
            account.delivery.release()
        await account.delivery.finish()
        return web.json_response(account.delivery.statuses)
    try:
        done = _DOES[what](account, body)
    except Refused as refusal:
        return web.json_response(refusal.body, status=400)
    return web.json_response(done if done is not None else {})


def _settle(account: Account, request: web.Request, body: dict[str, Any]) -> None:
    world, delivery = account.world, account.delivery
    world.url = str(request.url.origin())
    world.old_periods = body.get("old_periods", world.old_periods)
    world.ending = body.get("ending", world.ending)
    world.stands_at = body.get("stands_at", world.stands_at)
    delivery.url = body.get("endpoint", delivery.url)
    delivery.secrets = body.get("secrets", delivery.secrets)
    if "delivery" in body:
        delivery.faults = Faults(**body["delivery"])


def _session(does: Callable[..., object], **options: bool) -> Does:
    return lambda account, body: does(
        account.world, account.world.find("checkout.session", body["id"]), **options
    )


def _subscription(does: Callable[..., object]) -> Does:
    return lambda account, body: does(account.world, account.world.find("subscription", body["id"]))


def _card(account: Account, body: dict[str, Any]) -> None:
    account.world.find("customer", body["customer"])["_card_works"] = body["works"]


def _move_clock(account: Account, body: dict[str, Any]) -> Object:
    account.advance(account.world.now + int(body["days"] * 86_400))
    return {"now": account.world.now}


def _break(account: Account, body: dict[str, Any]) -> None:
    account.faults.append(Fault(**body))


def _resend(account: Account, body: dict[str, Any]) -> None:
    """As from Stripe's dashboard."""
    account.delivery.send(account.world.find("event", body["id"]))


def _dispute(account: Account, body: dict[str, Any]) -> Object:
    return money_back.dispute(account.world, account.world.find("charge", body["charge"]))


def _close(account: Account, body: dict[str, Any]) -> None:
    money_back.close(account.world, account.world.find("dispute", body["id"]), body["won"])


_DOES: dict[str, Does] = {
    "pay": _session(sessions.complete),
    "pay-later": _session(sessions.complete, is_later=True),
    "succeed": _session(sessions.succeed_late),
    "fail": _session(sessions.fail_late),
    "expire": _session(sessions.expire),
    "pause": _subscription(subscriptions.pause),
    "resume": _subscription(subscriptions.resume),
    "pay-invoice": _subscription(subscriptions.pay_late),
    "card": _card,
    "clock": _move_clock,
    "fault": _break,
    "resend": _resend,
    "dispute": _dispute,
    "close-dispute": _close,
    "asked": lambda account, _: {"asked": account.asked},
}
