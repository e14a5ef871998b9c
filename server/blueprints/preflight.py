"""HEAD and OPTIONS, which each path has beside the methods of its routes: what GET would answer,
the methods of the path, and what a page in a browser may send there."""

from typing import Any

from sanic import HTTPResponse, Sanic
from sanic.router import Router

from server.blueprints import cors
from server.blueprints.request import Request
from server.replies import Reply
from server.services import Services


class HeadRouter(Router):
    """Gives HEAD to the routes of GET; Sanic sends no body then."""

    def get(self, path: str, method: str, host: str | None) -> Any:  # type: ignore[override]
        return super().get(path, "GET" if method == "HEAD" else method, host)


def add_preflights(app: Sanic[Any, Services]) -> None:
    """A route for OPTIONS beside those of each path."""
    methods: dict[str, set[str]] = {}
    for route in app.router.routes:
        methods.setdefault(route.path, {"OPTIONS"}).update(route.methods)
    for number, (path, names) in enumerate(methods.items()):
        if "GET" in names:
            names.add("HEAD")
        app.add_route(
            _preflight,
            f"/{path}",
            ["OPTIONS"],
            name=f"preflight{number}",
            error_format="json",  # else Sanic reads the source of the handler for each, to find it
            ctx_methods=", ".join(sorted(names)),
            ctx_label="OPTIONS",
        )


async def _preflight(request: Request, **_: str) -> HTTPResponse:
    """The methods of the route, and to a CORS preflight what it may send there. Redis is not asked:
    what is wrong, with the tenant too, the reply to the request itself says."""
    methods = allowed_methods(request)
    headers = {"allow": methods}
    if cors.is_preflight(request):
        headers.update(cors.preflight_headers(request, methods))
    return Reply(status=204, headers=headers)


def allowed_methods(request: Request) -> str:
    """The methods of the request's path, as `Allow` lists them; the path must exist."""
    # Each path has a route for OPTIONS, which knows the methods of all.
    route, _, _ = request.app.router.get(request.path, "OPTIONS", None)
    return str(route.ctx.methods)
