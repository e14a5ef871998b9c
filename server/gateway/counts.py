"""Counts: how many tokens a message's prompt has, by its provider's word where that gives one."""

from typing import Any

import orjson

from server.amounts import is_amount
from server.gateway.attempts import Attempt
from server.gateway.options import Asked
from server.gateway.unpaid import Question, ask, beneath
from server.providers.errors import ProviderError, ProviderRefused
from server.providers.reading import an_object
from server.providers.refusals import value_of
from server.providers.translation import TRANSLATIONS
from server.upstream.client import Upstream
from server.upstream.response import MOST_ERROR_BYTES

# What the count of a message takes of it.
_COUNTED = (
    *("cache_control", "context_management", "mcp_servers", "messages", "output_config"),
    *("system", "thinking", "tool_choice", "tools"),
)
_API = "count_tokens"
_OF_THE_REQUEST = (400, 413, 422)


async def count_by_provider(
    upstream: Upstream, tenant_id: str, asked: Asked, attempt: Attempt
) -> int | None:
    """None where the endpoint does not say. Raises ProviderRefused for what is wrong with the
    request."""
    target = attempt.target
    url = _url(target.endpoint.url or "")
    if target.wire.operation != "messages" or asked.ask.prompt or url is None:
        return None
    headers = target.wire.headers(target.api_key, asked.headers)
    body = orjson.dumps(_body(asked, attempt))
    question = Question(tenant_id, _API, target.name, target.endpoint, url, headers, body)
    try:
        raw = await ask(upstream, question, MOST_ERROR_BYTES)
    except ProviderRefused as refusal:
        if refusal.status in _OF_THE_REQUEST:
            raise
        return None
    except ProviderError:
        return None
    count = an_object(value_of(raw)).get("input_tokens")
    return count if is_amount(count) else None


def _url(of_messages: str) -> str | None:
    """None if it is none that a count can be beside."""
    is_one = of_messages.partition("?")[0].endswith("/messages")
    return beneath(of_messages, "count_tokens") if is_one else None


def _body(asked: Asked, attempt: Attempt) -> dict[str, Any]:
    body = TRANSLATIONS["messages", "messages"].request(asked.body, "")
    sent = {**body, **attempt.target.endpoint.force}
    counted = {name: sent[name] for name in _COUNTED if sent.get(name) is not None}
    return {**counted, "model": attempt.target.model}
