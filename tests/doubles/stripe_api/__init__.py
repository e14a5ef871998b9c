"""A Stripe of our own: what this service and a buyer's browser ask of it, over HTTP, with a clock.

`/v1/...` is as Stripe's own, for the official library; `/pay/...` and `/portal/...` are its pages;
`/operator/<api_key>/...` is for tests (operator.py), which make an account by its API key first.
Not like Stripe's: one currency, one item and quantity 1 in all that is bought, no taxes, discounts
and schedules, months of 30 days.
"""

from typing import Any, NamedTuple

from aiohttp import web

from tests.doubles.asking import ask
from tests.doubles.in_thread import AppInThread
from tests.doubles.stripe_api.app import make_app


class Account(NamedTuple):
    """An account at the double, as its operator sees it."""

    url: str
    api_key: str

    def ask(self, path: str, **body: Any) -> Any:
        """What the operator's route answers; the test fails where it refuses."""
        return ask(f"{self.url}/operator/{self.api_key}/{path}", body)


class StripeDouble(AppInThread):
    """The double while the body of `with` runs."""

    def make_app(self) -> web.Application:
        return make_app()

    def account(self, api_key: str, **settings: Any) -> Account:
        """A new one: `sk_test_...`, or `sk_live_...`; settings as operator.py has them."""
        account = Account(self.url, api_key)
        account.ask("account", **settings)
        return account
