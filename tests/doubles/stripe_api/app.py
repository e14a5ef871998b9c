"""The double's application."""

from aiohttp import web

from tests.doubles.stripe_api.api import add_api
from tests.doubles.stripe_api.guard import ACCOUNTS
from tests.doubles.stripe_api.operator import operate
from tests.doubles.stripe_api.pages import add_pages


def make_app() -> web.Application:
    """Without accounts."""
    app = web.Application()
    app[ACCOUNTS] = {}
    add_api(app)
    add_pages(app)
    app.router.add_post("/operator/{api_key}/{what}", operate)
    return app
