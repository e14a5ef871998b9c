"""The double's routes."""

from aiohttp import web

from tests.doubles.sign_in.apple import add_apple
from tests.doubles.sign_in.control import add_control
from tests.doubles.sign_in.google import add_google
from tests.doubles.sign_in.issuer import Issuer
from tests.doubles.sign_in.serving import Handler

NAMES = ("google", "apple")


def create_app() -> web.Application:
    app = web.Application()
    issuers = {name: Issuer(name) for name in NAMES}

    @web.middleware
    async def say_where(request: web.Request, handler: Handler) -> web.StreamResponse:
        for name, issuer in issuers.items():
            issuer.url = issuer.url or f"{request.url.origin()}/{name}"
        return await handler(request)

    app.middlewares.append(say_where)
    add_google(app, issuers["google"])
    add_apple(app, issuers["apple"])
    add_control(app, issuers)
    return app
