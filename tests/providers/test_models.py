"""Which models are known not to reason, by names as several hosts write them."""

import pytest

from server.providers.models import answers_at_once

AT_ONCE = """
gpt-3.5-turbo gpt-35-turbo gpt-4 gpt-4-0613 gpt-4-turbo gpt-4o gpt-4o-2024-08-06 gpt-4.1-nano
chatgpt-4o-latest openai/gpt-4o OpenAI/GPT-4o ft:gpt-4o-mini-2024-07-18:org::id text-davinci-003
claude-3-opus-20240229 claude-3-5-sonnet-latest claude-3.5-haiku anthropic/claude-3-haiku:beta
us.anthropic.claude-3-haiku-20240307-v1:0 anthropic.claude-v2 claude-2.1 claude-instant-1
llama3.1:8b meta-llama/llama-3.3-70b-instruct:free accounts/fireworks/models/llama-v3p1-70b-instruct
meta.llama3-70b-instruct-v1:0 @cf/meta/llama-3-8b-instruct codellama mistral-small-latest
open-mistral-nemo mixtral-8x7b-instruct mistral.mixtral-8x7b-instruct-v0:1 ministral-8b
codestral-latest gemma2:9b gemma-2b google/gemma-3-27b-it gemma-7b gemma-3n-e4b-it phi3
phi-3-mini-4k phi-4 command command-r-plus command-a-03-2025 cohere.command-r-v1:0 deepseek-chat
deepseek/deepseek-chat deepseek-v3 qwen2.5:7b qwen2-72b qwen/qwen-2.5-72b-instruct gemini-1.5-pro
models/gemini-1.5-flash gemini-2.0-flash gemini-2.0-flash-lite-001 grok-2 grok-3
amazon.nova-lite-v1:0
"""
MAY_REASON = """
o1 o3-mini o4-mini gpt-5 gpt-5.1 openai/gpt-oss-120b gpt-40 claude-3-7-sonnet-20250219 claude-30
claude-3.7-sonnet:thinking claude-sonnet-4-20250514 claude-opus-4-1 gemini-2.5-pro
gemini-3-pro-preview gemini-2.0-flash-thinking-exp grok-4 grok-3-mini grok-20 sonar-deep-research
azure-o3 magistral-small mistralai/magistral-medium deepseek-reasoner deepseek-r1
deepseek-r1-distill-llama-70b llama-3.3-nemotron-super-49b deepseek-v3.1 deepseek-chat-v3.1
qwen3-32b qwq-32b qwen-plus phi-4-reasoning phi-40 command-a-reasoning-08-2025 gemma-4-31b
gemma-31b ministral-3-14b-reasoning nova-2-lite amazon.nova-2-lite-v1:0 my-deployment gpt
double-mini kimi-k2 glm-4.6 x-gpt-4o gpt-4o-r1
"""


@pytest.mark.parametrize("model", AT_ONCE.split())
def test_known_not_to_reason(model: str) -> None:
    assert answers_at_once(model)


@pytest.mark.parametrize("model", ["", *MAY_REASON.split(), "llama" + "a" * 10**6])
def test_not_known(model: str) -> None:
    assert not answers_at_once(model)
