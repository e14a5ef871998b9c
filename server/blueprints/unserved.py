"""What is said of the providers' many routes that are not served here: in the SDK's shape, with the
one to use instead, as most clients show nothing but an error's message."""

import re

from server.blueprints.request import Request
from server.errors import Refusal
from server.providers.wire import ProtocolName

_CHAT, _MESSAGES, _MODELS = "POST {}/chat/completions", "POST {}/messages", "GET {}/models"
_RESPONSES = "POST {}/responses"
_EMBEDDINGS, _MODERATIONS = "POST {}/embeddings", "POST {}/moderations"
_INSTEAD = {
    **dict.fromkeys(("chat", "completions", "engines"), _CHAT),
    **dict.fromkeys(("complete", "messages"), _MESSAGES),
    "responses": _RESPONSES,
    "embeddings": _EMBEDDINGS,
    "moderations": _MODERATIONS,
    "models": _MODELS,
}
"""By what the path begins with, after tenant and version."""
_VOICE = "GET {}/realtime, a WebSocket, and POST {}/realtime/client_secrets"
"""Of what begins with `realtime`. Behind the tenant alone that is ours, and no SDK's."""
_ALL = f"{_CHAT}, {_RESPONSES}, {_MESSAGES}, {_EMBEDDINGS} or {_MODELS}"
_PATH = re.compile(r"/[^/]*((?:/v1(?=/|$)){0,2})/?([^/]*).*")
_OF_SDKS = ("anthropic-version", "x-stainless-lang")
_LONGEST_PATH = 200


def explain(request: Request, refusal: Refusal) -> ProtocolName | None:
    """Has the refusal of a route that there is not say what to use instead; whose shape it has.

    None, and it stays as it is, if it was no SDK that asked, as far as that can be seen.
    """
    path, headers = request.path, request.headers
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    version, first = found.groups()
    if not version and first not in _INSTEAD and not any(name in headers for name in _OF_SDKS):
        return None
    # Without the version it is the base URL that is wrong.
    base, shown = ("/v1", path[found.start(1) :]) if version else ("/<tenantId>/v1", path)
    instead = _VOICE if version and first == "realtime" else _INSTEAD.get(first, _ALL)
    instead = instead.format(*[base] * 5)
    refusal.message = f"{request.method} {shown[:_LONGEST_PATH]} is not served here; use {instead}"
    refusal.code = "webrtc_unsupported" if path.endswith("/v1/realtime/calls") else "unknown_url"
    is_anthropics = "anthropic-version" in headers or first in ("complete", "messages")
    return "anthropic" if is_anthropics else "openai"
