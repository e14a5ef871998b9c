"""Endings: why an answer ended, in the words of many servers.

Sources: the references of OpenAI's chat completions, Anthropic's messages, Gemini, DeepSeek,
Mistral, Cohere, Zhipu, Bedrock and watsonx; vLLM, SGLang, TGI.
"""

import re
from typing import Any, Literal

# natural   it had come to its end
# sequence  by a stop sequence of the request's
# calls     tools are to be called
# cut       a limit was reached, and there is more to say
# filtered  it was refused, or withheld
# failed    it is no answer
Ending = Literal["natural", "sequence", "calls", "cut", "filtered", "failed"]

_WORDS: dict[Ending, tuple[str, ...]] = {
    "natural": (
        *("stop", "end_turn", "eos", "eos_token", "end", "end_of_text", "endoftext", "stop_token"),
        *("complete", "completed", "finished", "finish", "done", "normal", "success", "eos_found"),
    ),
    "sequence": ("stop_sequence", "stop_str", "stop_word", "stop_string_found", "word"),
    "calls": ("tool_calls", "tool_call", "function_call", "function_calls", "tool_use"),
    "cut": (
        *("length", "max_tokens", "max_output_tokens", "max_length", "model_length", "max_output"),
        *("max_new_tokens", "token_limit", "error_limit", "time_limit", "repetition", "truncated"),
        *("model_context_window_exceeded", "context_window_exceeded", "context_length_exceeded"),
        *("pause_turn", "incomplete", "limit", "max_predicted_tokens_reached"),
        *("context_length_reached", "compaction"),
    ),
    "filtered": (
        *("content_filter", "content_filtered", "refusal", "safety", "recitation", "language"),
        *("blocklist", "blocked", "prohibited_content", "spii", "image_safety", "sensitive"),
        *("image_prohibited_content", "image_recitation", "guardrail_intervened", "error_toxic"),
        *("guardrails", "moderation", "risk", "model_armor", "content_policy", "policy_violation"),
        *("content_policy_violation", "safety_violation"),
    ),
    "failed": (
        *("error", "failed", "failure", "insufficient_system_resource", "network_error", "abort"),
        *("aborted", "cancel", "cancelled", "canceled", "user_cancel", "timeout", "server_error"),
        *("internal_error", "malformed_function_call", "unexpected_tool_call", "engine_error"),
        *("malformed_response", "malformed_model_output", "malformed_tool_use", "overloaded"),
        *("too_many_tool_calls", "missing_thought_signature", "timed_out", "disconnected"),
        *("preempted", "rate_limit", "rate_limited", "user_canceled", "user_cancelled"),
        *("user_stopped", "model_unloaded", "out_of_memory"),
    ),
}
_ENDINGS: dict[str, Ending] = {word: ending for ending, words in _WORDS.items() for word in words}
_NOT_YET = frozenset({"", "null", "none", "not_finished", "in_progress"})
# Words in each other's spelling: endTurn, content-filter, FINISH_REASON_STOP.
_BETWEEN_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|[- ]")
_PREFIXES = ("finish_reason_", "stop_reason_")
# What ends a word that nobody knows, but that says what it is.
_OF_FAILURES = ("error", "exception", "failed", "failure")
_LONGEST = 100
_UNKNOWN = "unknown"
# Of those words, what stands in a choice's `stop_reason`; others are sequences that users have.
_REASONS = frozenset({"stop", "eos", "length", "abort", "refusal", "null", "none"})


def word_of(reason: Any) -> str:
    """A finish or stop reason as a word of this table, '' if there is none yet. Some servers give
    an object with it, or that it has ended."""
    if isinstance(reason, str) and reason in _ENDINGS:  # as nearly all
        return reason
    if isinstance(reason, dict | list):
        said = map(reason.get, ("type", "reason")) if isinstance(reason, dict) else reason
        reason = next((word for word in said if isinstance(word, str)), _UNKNOWN)
    if reason is True:
        return "stop"
    if not isinstance(reason, str):
        return _UNKNOWN if reason else ""
    if reason in _ENDINGS:  # of an object
        return reason
    word = _BETWEEN_WORDS.sub("_", reason[:_LONGEST].strip()).lower()
    for prefix in _PREFIXES:
        word = word.removeprefix(prefix)
    return "" if word in _NOT_YET else word


def ending_of(reason: Any) -> Ending | None:
    """What a finish or stop reason means, None if there is none yet.

    A word that is not known is no natural end: whoever gets it must not take the answer for whole.
    """
    if reason is None:
        return None
    word = word_of(reason)
    if not word:
        return None
    return _ENDINGS.get(word) or ("failed" if word.endswith(_OF_FAILURES) else "cut")


def is_reason(text: str, reason: Any) -> bool:
    """Is what stands beside the finish reason `reason` another, and no stop sequence?"""
    return text in _REASONS or text == reason or (text in _ENDINGS and "_" in text)
