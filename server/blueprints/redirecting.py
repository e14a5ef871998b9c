"""What the steps of a sign-in by redirect have in common: the browser leaves the app's page for its
login provider's (start.py), comes here (callback.py), and goes back to the app with a code, for
which the app gets an API key (exchange.py)."""

from collections.abc import Callable
from functools import wraps
from typing import Literal

from server import metrics
from server.blueprints.metrics import Handler
from server.blueprints.request import Request
from server.blueprints.signed_in import NO_STORE
from server.errors import NotFound, Refusal
from server.identity.errors import LoginNotConfigured
from server.login_providers.identity import ProviderName
from server.openapi.route import Answer
from server.replies import Reply

NO_TRACE = {**NO_STORE, "referrer-policy": "no-referrer"}
"""An address with a code is kept by no cache, and told to no other page."""

_SEE_OTHER = 303


def answer_doc(when: str) -> Answer:
    headers = ["Location", "Cache-Control", "Referrer-Policy"]
    return Answer(when, status=_SEE_OTHER, headers=headers)


def answers_browsers(
    step: Literal["start", "callback"], provider: ProviderName
) -> Callable[[Handler], Handler]:
    """Counts how the handler's requests end, by `request.ctx.outcome` where they are not refused;
    nobody keeps its replies."""

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        async def answer(request: Request, tenant_id: str) -> Reply:
            try:
                answered = await handler(request, tenant_id)
            except Refusal as refusal:
                metrics.redirect_answered(tenant_id, provider, step, refusal.label)
                refusal.headers |= NO_TRACE
                raise
            metrics.redirect_answered(tenant_id, provider, step, request.ctx.outcome)
            return answered

        return answer

    return decorate


def callback_url(request: Request, provider: ProviderName) -> str:
    """Where the provider sends browsers back to. Raises NotFound where this server does not know
    how they call it, LoginNotConfigured."""
    public_url = request.services.settings.public_url
    if not public_url:
        raise NotFound
    tenant = request.tenant
    if tenant.config.login_group(provider) is None:
        raise LoginNotConfigured
    return f"{public_url}/{tenant.tenant_id}/auth/{provider}/callback"


def go_to(request: Request, url: str, outcome: str) -> Reply:
    """`outcome` is for the metrics."""
    request.ctx.outcome = outcome
    return Reply(
        status=_SEE_OTHER, headers={"location": url, **NO_TRACE}, content_type="text/plain"
    )
