"""Options of a request: members that change what it costs or what a provider keeps of it.

They are the tenant's to allow, as it pays. A member that differs from one of ours in its letters
alone is none of its own: there are servers that read names in any case, or without their dashes.

Sources: the OpenAI API reference, chat completions and responses; the Anthropic API reference,
messages; those of OpenRouter, LiteLLM, xAI, Alibaba and vLLM for their members.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

from server.errors import Unsupported

_Operation = Literal["chat", "messages", "responses"]

# Each with the values that change nothing. Null is as good as none.
_PRICED: dict[str, tuple[Any, ...]] = {
    # What is paid for a token, or beside it.
    "service_tier": ("auto", "default", "standard", "standard_only"),
    "speed": ("standard",),
    "priority": (0,),
    "inference_geo": ("global",),
    "modalities": (["text"],),
    "audio": (),
    **dict.fromkeys(("best_of", "n", "num_return_sequences", "candidate_count"), (1,)),
    # What some servers read as the output limit, which is ours to send.
    **dict.fromkeys(("max_completion_tokens", "max_output_tokens", "max_new_tokens"), ()),
    "max_tokens": (),
    **dict.fromkeys(("max_tokens_to_sample", "n_predict", "num_predict", "max_length"), ()),
    **dict.fromkeys(("search_parameters", "search_options", "search_settings"), ({},)),
    **dict.fromkeys(("enable_search", "web_search", "online"), (False,)),
    **dict.fromkeys(("plugins", "betas", "anthropic_beta"), ([],)),
    "deferred": (False,),
    # What is kept there, or was.
    "store": (False,),
    "background": (False,),
    "prompt_cache_retention": ("in_memory", "in-memory"),
    "prompt_cache_options": ({},),
    **dict.fromkeys(("conversation", "previous_response_id", "cached_content"), ()),
    **dict.fromkeys(("file_ids", "attachments"), ([],)),
    **dict.fromkeys(("user_profile_id", "workspace_id"), ()),
    # Another model, another account, or members that a server unpacks.
    **dict.fromkeys(("models", "fallbacks"), ([],)),
    **dict.fromkeys(("engine", "deployment_id", "model_name", "preset", "route", "provider"), ()),
    **dict.fromkeys(("api_key", "api_base", "base_url", "api_version"), ()),
    **dict.fromkeys(("extra_body", "extra_headers", "extra_query", "provider_options"), ({},)),
}
# Those that bounds of other kinds are for (estimate.py).
_UNBOUNDED = frozenset({"container", "mcp_servers", "web_search_options"})
PASSING: dict[_Operation, frozenset[str]] = {
    "chat": _UNBOUNDED
    | {
        *("frequency_penalty", "function_call", "functions", "logit_bias", "logprobs"),
        *("max_completion_tokens", "max_tokens", "messages", "metadata", "model", "moderation"),
        *("n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key"),
        *("reasoning_effort", "response_format", "safety_identifier", "seed", "stop", "stream"),
        *("stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p"),
        *("user", "verbosity"),
    },
    "messages": _UNBOUNDED
    | {
        *("cache_control", "context_management", "diagnostics", "max_tokens", "messages"),
        *("metadata", "model", "output_config", "output_format", "stop_sequences", "stream"),
        *("system", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p"),
    },
    "responses": frozenset(
        {
            *("client_metadata", "context_management", "include", "input", "instructions"),
            *("max_output_tokens", "max_tool_calls", "metadata", "model", "moderation"),
            *(
                "parallel_tool_calls",
                "prompt_cache_key",
                "reasoning",
                "safety_identifier",
                "stream",
            ),
            *(
                "stream_options",
                "temperature",
                "text",
                "tool_choice",
                "tools",
                "top_logprobs",
                "top_p",
            ),
            *("truncation", "user"),
        }
    ),
}
# Of no name that we know, but of such: another model, a search, or how a router is set up.
_OF_ROUTERS = re.compile("model|fallback|adapter|lora|deployment|router|litellm|userconfig|search")
_NOTHING: tuple[Any, ...] = (False, [], {})
_TOO_DEAR = "may change what the call costs or what is kept of it, and is not allowed here"

_SHORT_CACHES = (None, "5m")
_PRICED_BETAS = (
    *("context-1m", "extended-cache-ttl", "fast-mode", "files-api", "code-execution"),
    *("mcp-client", "skills", "web-fetch", "web-search", "output-", "message-batches", "compact"),
)
_FREE_BETAS = (
    *("interleaved-thinking", "fine-grained-tool-streaming", "token-efficient-tools", "effort"),
    *("prompt-caching", "structured-outputs", "context-management", "claude-code", "oauth"),
    *("adaptive-thinking", "redact-thinking", "prompt-caching-scope", "tool-examples"),
)
_SEARCH_MODEL = re.compile(r"search|sonar|research|:online", re.IGNORECASE)


def _letters(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "").strip()


_KNOWN = {
    operation: {_letters(name): name for name in (*_PRICED, "cache_control", *names)}
    for operation, names in PASSING.items()
}
_KNOWN["responses"]["prompt"] = "prompt"  # which is refused before (kept.py)


def refuse_priced(
    body: Mapping[str, Any], operation: _Operation, is_own_host: bool, allowed: Collection[str]
) -> None:
    """`is_own_host`: the endpoint is the protocol's maker's, whose next member may cost something;
    others have members of their own, which pass. Raises Unsupported naming the first fault."""
    passing = PASSING[operation]
    for name, value in body.items():
        if name in passing or value is None or name in allowed:
            continue
        if name in _PRICED:
            if value not in _PRICED[name]:
                raise Unsupported(name, f"{name} {_TOO_DEAR}")
        elif (known := _KNOWN[operation].get(_letters(name), name)) != name:
            raise Unsupported(name[:100], f"{name[:100]} must be written {known}")
        elif is_own_host or (_OF_ROUTERS.search(_letters(name)) and value not in _NOTHING):
            raise Unsupported(name[:100], f"{name[:100]} {_TOO_DEAR}")


def refuse_betas(header: str, is_own_host: bool, allowed: Collection[str]) -> None:
    """`header`: a client's anthropic-beta. Raises Unsupported."""
    if not header or "anthropic-beta" in allowed:
        return
    for beta in header.casefold().replace(" ", "").split(","):
        is_free = not beta or beta.startswith(_FREE_BETAS)
        is_priced = beta.startswith(_PRICED_BETAS) or (is_own_host and not is_free)
        if is_priced and beta not in allowed:
            raise Unsupported("anthropic-beta", f"The beta {beta[:100]} {_TOO_DEAR}")


def has_long_cache(body: Any) -> bool:
    """Is there a cache_control in it that lasts, and costs, more than the usual one?"""
    waiting = [body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            for name, inner in value.items():
                if _letters(name) == "cachecontrol" and isinstance(inner, dict):
                    found = [inner[one] for one in inner if _letters(one) == "ttl"]
                    if any(ttl not in _SHORT_CACHES for ttl in found):
                        return True
                waiting.append(inner)
    return False


def is_search_model(model: str) -> bool:
    """Has it a fee for each call, as far as its name tells?"""
    return _SEARCH_MODEL.search(model) is not None
