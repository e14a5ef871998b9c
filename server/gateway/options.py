"""What of a request is the tenant's to decide, and not the client's: options that cost more or are
kept, members that its endpoint forces, and whose call the provider thinks it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.errors import Unsupported
from server.gateway.endpoints import Target
from server.providers.ask import Ask
from server.providers.embeddings import refuse_unknown
from server.providers.estimate import Prompt
from server.providers.kept import without_kept
from server.providers.options import PASSING, refuse_betas, refuse_priced
from server.providers.tools import is_offline_search
from server.providers.wire import Wire
from server.tenants.text import TextEndpoint

_USUAL = "user", "safety_identifier"
"""What embeddings, and chat completions, call the user, and what they do not."""
_OF_OPENAI = "safety_identifier", "user"


@dataclass(slots=True)
class Asked:
    """A client's request. `headers` came with it, `user` what providers know the user
    by; `is_long`: work on it is done aside."""

    body: dict[str, Any]
    client: Wire
    ask: Ask
    prompt: Prompt
    headers: Mapping[str, str]
    user: str
    is_long: bool


def refuse_options(asked: Asked, target: Target) -> None:
    """Raises Unsupported for what only the tenant may allow. What will be translated has nothing of
    it: there are no words for that; a server prompt is the tenant's own."""
    endpoint, operation, prompt = target.endpoint, target.wire.operation, asked.prompt
    if operation == "embeddings":
        refuse_unknown(asked.body, endpoint.allowed)
        return
    if prompt.unbounded_paths and not endpoint.unbounded:
        for path in prompt.unbounded_paths:
            if path.partition(".")[0] not in endpoint.allowed:
                raise Unsupported(path, f"{path} may cost more than can be known beforehand")
    if operation == "messages" and (betas := asked.headers.get("anthropic-beta")):
        # With a prompt they do not reach the endpoint.
        refuse_betas("" if asked.ask.prompt else betas, endpoint.is_own_host, endpoint.allowed)
    if operation == asked.client.operation:
        if not PASSING[operation].issuperset(asked.body) and not asked.ask.prompt:  # seldom
            allowed = endpoint.allowed
            if "store" in endpoint.allow and operation == "responses":
                allowed |= {"previous_response_id"}  # whose that is, is asked (kept.py)
            refuse_priced(asked.body, operation, endpoint.is_own_host, allowed)
        if prompt.has_long_cache and "cache_control" not in endpoint.allowed:
            raise Unsupported("cache_control", "cache_control can only have a ttl of 5m here")


def _as_response(body: dict[str, Any], endpoint: TextEndpoint) -> dict[str, Any]:
    """Members of a request for a response, with nothing that the provider has kept or would have
    to look for."""
    turns, tools = body["input"], body.get("tools")
    ours: dict[str, Any] = {}
    if "store" not in endpoint.allow:
        ours["store"] = False
    if isinstance(turns, list):
        ours["input"] = without_kept(turns)
    if isinstance(tools, list) and not endpoint.unbounded:
        ours["tools"] = [tool for tool in tools if not is_offline_search(tool)]
    return ours


def are_kept(body: dict[str, Any], target: Target) -> bool:
    """Does the endpoint keep the reply to what it is sent?"""
    is_allowed = target.wire.operation == "responses" and "store" in target.endpoint.allow
    return is_allowed and body.get("store") is not False


def with_ours(body: dict[str, Any], target: Target, user: str) -> dict[str, Any]:
    """With what is not the client's to choose; a new one, as `body` may be other attempts', too."""
    endpoint, sent = target.endpoint, dict(body)
    if target.wire.operation == "messages":
        ours = "metadata"
        sent[ours] = {"user_id": user}
    else:
        is_usual = not endpoint.is_of_openai or target.wire.operation == "embeddings"
        ours, other = _USUAL if is_usual else _OF_OPENAI
        sent.pop(other, None)
        sent[ours] = user
    if target.wire.operation == "responses" and isinstance(endpoint, TextEndpoint):
        sent |= _as_response(sent, endpoint)
    if force := endpoint.force:
        sent |= force
        no_user = () if force.get("user", user) is not None else (ours,)
        for name in (*no_user, *(name for name in force if force[name] is None)):
            sent.pop(name, None)
    return sent
