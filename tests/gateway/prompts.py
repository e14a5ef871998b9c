"""Tenants with server prompts, and how a client asks for one."""

from typing import Any

import httpx

from tests.api import Api, User
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import PATHS, stream

SECRET = "Kumquat-4711"
"""In all that a prompt says, and in nothing that a client or a log has."""
RICH = {"tokens": 1_000_000, "rate_limit": 10_000, "rate_limit_window": 60}
SYSTEM = f"{SECRET} Write about {{{{topic}}}}, {{{{tone}}}}."
PROMPTS: dict[str, dict[str, Any]] = {
    "haiku": {
        "model": "real-model",
        "system": SYSTEM,
        "messages": [{"role": "user", "content": f"{SECRET}: {{{{topic}}}}!"}],
        "variables": {
            "topic": {"max_length": 100},
            "tone": {"enum": ["happy", "sad"]},
        },
        "max_output": 50,
    },
    "chat": {"model": "real-model", "system": SECRET, "chat": True},
}
GIVEN = {"topic": "rivers", "tone": "sad"}


def prompting(
    client: httpx.Client,
    url: str,
    protocol: str = "openai",
    prompts: dict[str, dict[str, Any]] | None = None,
    fallback: dict[str, dict[str, Any]] | None = None,
    groups: dict[str, Any] | None = None,
    **members: Any,
) -> User:
    """A user of a tenant with one endpoint, `main`, whose only model is `real-model`."""
    main = endpoint(url, protocol, default_model="real-model", **members)
    endpoints = {"main": main, **(fallback or {})}
    value = text_config(endpoints, list(fallback or {}), **(groups or {"anonymous": RICH}))
    return Api.new_tenant(client, value | {"prompts": prompts or PROMPTS}).login()


def body_for(prompt: str = "haiku", **members: Any) -> dict[str, Any]:
    """A member None is left out."""
    given = GIVEN if prompt == "haiku" else None
    body = {"model": f"prompt/{prompt}", "variables": given, **members}
    return {name: value for name, value in body.items() if value is not None}


def fill(
    user: User,
    protocol: str = "openai",
    prompt: str = "haiku",
    headers: dict[str, str] | None = None,
    **members: Any,
) -> httpx.Response:
    body = body_for(prompt, **members)
    return user.api.post(PATHS[protocol], body, {**user.headers, **(headers or {})})


def filled_stream(
    user: User, protocol: str = "openai", prompt: str = "haiku", **members: Any
) -> list[str]:
    """The data of each event."""
    absent = {"messages": None, "input": None, "max_tokens": None}
    return stream(user, None, protocol, **{**absent, **body_for(prompt, **members)})
