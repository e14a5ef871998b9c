"""Moderations: what a provider thinks of a text, passed through."""

from typing import Any

import orjson

from server.aside import aside
from server.errors import NoModel, Unsupported
from server.gateway.room import Portion
from server.gateway.unpaid import Question, ask
from server.gateway.whole import looks_whole
from server.providers.bounds import MOST_PARSED_BYTES, MOST_REPLY_VALUES, can_be_parsed
from server.providers.errors import ProviderError
from server.providers.members import refuse_others
from server.providers.reading import an_object
from server.providers.refusals import value_of
from server.providers.wire import WIRES
from server.tenants.endpoints import TextEndpoints
from server.upstream.client import Upstream

_API = "moderations"
_MEMBERS = ("input", "model")
_NONE = "This tenant has no provider of moderations"


async def moderate(
    upstream: Upstream,
    tenant_id: str,
    text: TextEndpoints | None,
    body: dict[str, Any],
    portion: Portion,
) -> bytes:
    """The reply as it is, which takes `portion`. Raises NoModel, Unsupported, ProviderError,
    ProviderRefused."""
    refuse_others(body, _MEMBERS, "moderations")
    if not body.get("input"):
        raise Unsupported("input", "input must be a text, or a list of texts and images")
    try:
        sent = orjson.dumps(body)
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        raise Unsupported("input", "The request is nested too deeply") from None
    raw = await ask(upstream, _question(tenant_id, text, sent), MOST_PARSED_BYTES, portion.resize)
    if len(raw) <= MOST_REPLY_VALUES:
        is_one = _is_moderation(raw)
    else:
        is_one = await aside(portion.owners, _is_moderation, raw)
    if not is_one:
        raise ProviderError("no moderation")
    return raw


def _is_moderation(raw: bytes) -> bool:
    if not can_be_parsed(raw, MOST_REPLY_VALUES):
        return looks_whole(raw)
    return isinstance(an_object(value_of(raw)).get("results"), list)


def _question(tenant_id: str, text: TextEndpoints | None, body: bytes) -> Question:
    """To the first endpoint that has moderations."""
    if text is None:
        raise NoModel(_NONE)
    for name in text.in_order:
        endpoint = text.endpoints[name]
        if (url := endpoint.url_of_moderations) is not None:
            headers = WIRES["openai"].headers(endpoint.api_key or "", {})
            return Question(tenant_id, _API, name, endpoint, url, headers, body)
    raise NoModel(_NONE)
