"""Types of what several paths and bodies have, with what the document says of them."""

import re
from typing import Annotated

from pydantic import Field

from server.identity.restricted import KEY_ID
from server.identity.users import API_KEY, USER_ID
from server.metering.meter import HOLD_ID
from server.tenants.config import TenantConfig
from server.tenants.tenants import TENANT_ID


def exactly(pattern: re.Pattern[str]) -> str:
    """For a schema, whose patterns match anywhere in a text."""
    return f"^{pattern.pattern}$"


TenantId = Annotated[
    str, Field(pattern=exactly(TENANT_ID), description="the tenant", examples=["abc"])
]
UserId = Annotated[
    str,
    Field(
        pattern=exactly(USER_ID),
        description="the user",
        examples=["0b1f9a52-6d3c-4e8a-9a57-2f0c6d1e8b34"],
    ),
]
ApiKey = Annotated[
    str,
    Field(
        pattern=exactly(API_KEY),
        description="the key",
        examples=["temp_7c9e6679-7425-40de-944b-e07fc1f90ae7"],
    ),
]
KeyId = Annotated[
    str,
    Field(
        pattern=exactly(KEY_ID),
        description="the restricted key",
        examples=["9f86d081884c7d65"],
    ),
]
HoldId = Annotated[
    str,
    Field(
        pattern=exactly(HOLD_ID),
        description="the hold",
        examples=["5f2b8c1d9e3a4f60b7c8d9e0f1a2b3c4"],
    ),
]
CallId = Annotated[
    str,
    Field(description="the call", examples=["3c90c3cc-0d44-4b50-8888-8dd25736052a"]),
]
ResponseId = Annotated[str, Field(description="the response", examples=["resp_9f"])]
Group = Annotated[
    str, Field(description="a group of the tenant's config", examples=["stripe_basic"])
]
Time = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        json_schema_extra={"format": "date-time"},
    ),
]

_CONFIG = {
    "auth": {},
    "user_groups": {
        "anonymous": {"tokens": 100, "rate_limit": 10, "rate_limit_window": 60},
        "stripe_basic": {"tokens": 5000, "rate_limit": 100, "rate_limit_window": 60},
    },
    "providers": {
        "text": {
            "default": "openai",
            "fallback": ["anthropic"],
            "endpoints": {
                "openai": {
                    "url": "https://api.openai.com/v1/chat/completions",
                    "default_model": "gpt-4o-mini",
                    "models": [{"name": "gpt-4o", "weight": 16.7}],
                    "api_key": "sk-abc123",
                },
                "anthropic": {
                    "url": "https://api.anthropic.com/v1/messages",
                    "default_model": "claude-3-opus-20240229",
                    "api_key": "sk-ant-abc123",
                    "weight": 3,
                },
            },
        }
    },
    "limits": {"streams": 200, "calls_per_minute": 3000, "tokens_per_day": 5_000_000},
}
DocumentedConfig = Annotated[TenantConfig, Field(examples=[_CONFIG])]
