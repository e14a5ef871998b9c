"""The names of routes in the metrics."""

import re
from typing import Any

from sanic import Sanic

from server.openapi.route import camel_case


def label_routes(app: Sanic[Any, Any]) -> None:
    """Gives each route its label, as in the API's documentation: `POST /{tenantId}/charges`."""
    for route in app.router.routes:
        path = re.sub(r"<(.+?)(?::.*?)?>", lambda found: f"{{{camel_case(found[1])}}}", route.path)
        route.ctx.label = f"{'/'.join(sorted(route.methods))} /{path}"
