"""The pages that a buyer sees: Checkout and the portal, which a browser completes by form."""

import asyncio
import html
from contextlib import suppress

from aiohttp import web

from tests.doubles.stripe_api import sessions, subscriptions
from tests.doubles.stripe_api.account import Account
from tests.doubles.stripe_api.guard import ACCOUNTS
from tests.doubles.stripe_api.world import Object, Refused

WAIT_SECONDS = 10
"""For the event to be taken, before the buyer goes back."""
_HEAD = """<!doctype html><title>A double of Stripe</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<p>A double of Stripe's page: no money is paid.</p>
"""
# A browser that no driver has hold of: it presses what the address's fragment selects, as #pay, and
# goes back where there is no such thing, or no more.
_PRESSES = """<script>
if (location.hash) {
  sessionStorage.press = location.hash;
  history.replaceState(null, "", location.pathname);
}
if (sessionStorage.press)
  (document.querySelector(sessionStorage.press) ?? document.querySelector("#back")).click();
</script>"""


def add_pages(app: web.Application) -> None:
    app.router.add_get("/pay/{id}", show_checkout)
    app.router.add_post("/pay/{id}", pay)
    app.router.add_get("/portal/{id}", show_portal)
    app.router.add_post("/portal/{id}", use_portal)


async def show_checkout(request: web.Request) -> web.Response:
    _, session = _find(request, "checkout.session")
    if session["status"] != "open":
        return web.Response(text="You're all done here", status=410)
    cancel = html.escape(session["cancel_url"] or "")
    return _page(
        f"<h1>Pay {session['amount_total'] / 100:.2f} {session['currency'].upper()}</h1>"
        '<form method="post"><button id="pay" name="how" value="now">Pay</button>'
        '<button id="later" name="how" value="later">Pay by transfer</button></form>'
        f'<a id="back" href="{cancel}">Back</a>'
    )


async def pay(request: web.Request) -> web.Response:
    account, session = _find(request, "checkout.session")
    form = await request.post()
    try:
        sessions.complete(account.world, session, is_later=form.get("how") == "later")
    except Refused as refusal:
        return _page(f"<p id=refusal>{html.escape(str(refusal))}</p>")
    with suppress(TimeoutError):
        async with asyncio.timeout(WAIT_SECONDS):
            await account.delivery.finish()
    url = session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
    raise web.HTTPSeeOther(url)


async def show_portal(request: web.Request) -> web.Response:
    account, session = _find(request, "billing_portal.session")
    forms = "".join(
        f'<form method="post"><input type="hidden" name="id" value="{each["id"]}">'
        '<button id="cancel">Cancel at the period\'s end</button></form>'
        for each in account.world.all("subscription")
        if each["customer"] == session["customer"] and each["status"] != "canceled"
        if not each["cancel_at_period_end"]
    )
    back = html.escape(session["return_url"] or "")
    return _page(f'<h1>Your plan</h1>{forms}<a id="back" href="{back}">Back</a>')


async def use_portal(request: web.Request) -> web.Response:
    account, session = _find(request, "billing_portal.session")
    form = await request.post()
    subscription = account.world.find("subscription", form.get("id"))
    if subscription["customer"] != session["customer"]:
        raise web.HTTPForbidden
    subscriptions.cancel(account.world, subscription, at_period_end=True)
    raise web.HTTPSeeOther(request.path)


def _find(request: web.Request, kind: str) -> tuple[Account, Object]:
    for account in request.app[ACCOUNTS].values():
        with suppress(Refused):
            return account, account.world.find(kind, request.match_info["id"])
    raise web.HTTPNotFound


def _page(body: str) -> web.Response:
    return web.Response(text=f"{_HEAD}{body}{_PRESSES}", content_type="text/html")
