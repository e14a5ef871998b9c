"""Endings: why an answer ended, in the words of many servers.

Sources: the references of OpenAI's chat completions, Anthropic's messages, Gemini, DeepSeek,
Mistral, Cohere, Zhipu, Bedrock and watsonx; vLLM, SGLang, TGI.
"""

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
        *("complete", "completed", "finished", "finish", "done", "normal", "success"),
    ),
    "sequence": ("stop_sequence", "stop_str", "stop_word"),
    "calls": ("tool_calls", "tool_call", "function_call", "function_calls", "tool_use"),
    "cut": (
        *("length", "max_tokens", "max_output_tokens", "max_length", "model_length", "max_output"),
        *("max_new_tokens", "token_limit", "error_limit", "time_limit", "repetition", "truncated"),
        *("model_context_window_exceeded", "context_window_exceeded", "context_length_exceeded"),
        *("pause_turn", "incomplete"),
    ),
    "filtered": (
        *("content_filter", "content_filtered", "refusal", "safety", "recitation", "language"),
        *("blocklist", "blocked", "prohibited_content", "spii", "image_safety", "sensitive"),
        *("image_prohibited_content", "image_recitation", "guardrail_intervened", "error_toxic"),
        *("guardrails", "moderation", "risk"),
    ),
    "failed": (
        *("error", "failed", "failure", "insufficient_system_resource", "network_error", "abort"),
        *("aborted", "cancel", "cancelled", "canceled", "user_cancel", "timeout", "server_error"),
        *("internal_error", "malformed_function_call", "unexpected_tool_call", "engine_error"),
        *("malformed_response", "malformed_model_output", "malformed_tool_use", "overloaded"),
        *("too_many_tool_calls", "missing_thought_signature"),
    ),
}
_ENDINGS: dict[str, Ending] = {word: ending for ending, words in _WORDS.items() for word in words}
_NOT_YET = frozenset({"", "null", "none", "not_finished"})


def ending_of(reason: Any) -> Ending | None:
    """What a finish or stop reason means, None if there is none yet.

    A word that is not known is no natural end: whoever gets it must not take the answer for whole.
    """
    if reason is None:
        return None
    if not isinstance(reason, str):
        return "natural"
    word = reason.lower()
    return None if word in _NOT_YET else _ENDINGS.get(word, "cut")


def is_word(text: str) -> bool:
    """Is it one of those that say why an answer ended?"""
    return text.lower() in _ENDINGS
