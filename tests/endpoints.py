"""Tenant configs with provider endpoints, for tests."""

from typing import Any

from tests.api import config

PROVIDER_KEY = "sk-of-the-tenant-0123456789"


def endpoint(base_url: str, protocol: str = "openai", **members: Any) -> dict[str, Any]:
    """An endpoint at a double, whose models do not reason; `members` as in a tenant's config."""
    path = "/v1/messages" if protocol == "anthropic" else "/v1/chat/completions"
    return {
        "url": base_url + path,
        "protocol": protocol,
        "api_key": PROVIDER_KEY,
        "default_model": f"{protocol}-model",
        "reasoning": False,
        **members,
    }


def text_config(
    endpoints: dict[str, dict[str, Any]],
    fallback: list[str] | None = None,
    **groups: dict[str, int],
) -> dict[str, Any]:
    """A tenant's config with these text endpoints, the first one the default."""
    text = {"endpoints": endpoints, "default": next(iter(endpoints)), "fallback": fallback or []}
    return config(**groups) | {"providers": {"text": text}}


def voice_config(url: str, tokens: int = 100_000, **members: Any) -> dict[str, Any]:
    """A tenant's config with one realtime endpoint, `voice`, at the double of this URL; a user has
    so many tokens; `members` as in an endpoint."""
    endpoint = {"url": f"{url}/v1/realtime", "api_key": PROVIDER_KEY, "model": "voice", **members}
    group = {"tokens": tokens, "rate_limit": 10_000, "rate_limit_window": 60}
    realtime = {"endpoints": {"voice": endpoint}, "default": "voice"}
    return config(anonymous=group, paid=group) | {"providers": {"realtime": realtime}}
