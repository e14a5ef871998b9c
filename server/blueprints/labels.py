"""The names of routes in the metrics."""

import re
from typing import Any

from sanic import Sanic


def label_routes(app: Sanic[Any, Any]) -> None:
    """Gives each route its label, as in the API's documentation: `POST /{tenantId}/charges`."""
    for route in app.router.routes:
        path = re.sub(r"<(.+?)(?::.*?)?>", _parameter, route.path)
        route.ctx.label = f"{'/'.join(sorted(route.methods))} /{path}"


def _parameter(found: re.Match[str]) -> str:
    first, *rest = found[1].split("_")
    return "{" + first + "".join(word.title() for word in rest) + "}"
