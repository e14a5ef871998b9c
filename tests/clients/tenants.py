"""Tenants with one endpoint at a double."""

from contextlib import AbstractContextManager
from typing import Any

from tests.clients.clients import Kind
from tests.doubles import Double
from tests.gateway.sdks import App, app_at


def app_of(
    url: str, double: Double, kind: Kind, model: str, **group: Any
) -> AbstractContextManager[App]:
    """A user's, of a new tenant whose endpoint is of this kind; `group` changes the user's."""
    members: dict[str, Any] = {"default_model": model}
    if kind == "responses":
        members["responses_url"] = f"{double.url}/v1/responses"
    protocol = "anthropic" if kind == "messages" else "openai"
    return app_at(url, double, protocol, group=group, **members)
