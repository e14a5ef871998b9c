"""Models that do not reason, as far as their names tell.

Of all others it must be assumed: a provider that hides reasoning tells of it in the usage only,
which never comes to a client that leaves. So a name is here if all models of that name, today's and
those that its family is likely to get, answer at once; a line for each family.
"""

import re
from functools import lru_cache

_ANSWER_AT_ONCE = re.compile(
    r"""
    gpt-(?:3\.5|35|4(?!\d)) | chatgpt-4o | text-(?:davinci|curie|babbage|ada) | davinci | babbage
    | claude-(?:v?[12](?!\d)|instant|3(?!\d|[-.]7))
    | gemini-(?:1\.[05]|2\.0-flash|pro(?:$|-vision))
    | grok-(?:beta|2|3(?!-mini))(?!\d)
    | (?:code-?)?llama
    | (?:open-)?(?:mistral|mixtral) | ministral | codestral | pixtral
    | gemma-?(?:[23]n?\b|[27]b)
    | phi-?[234](?!\d)
    | command(?:$|-(?:r|a|light|nightly)\b)
    | deepseek-(?:coder|chat(?:$|:|-v3-0324)|v2|v3(?![.\d]))
    | qwen-?(?:1\.5|2)(?!\d)
    | nova-(?:micro|lite|pro|premier)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LONGEST = 200
# A reasoning model made of one that does not, or another mode of it.
_REASONING = re.compile(r"reason|think|nemotron|distill|research|\br1\b", re.IGNORECASE)
# What is put before a name: `openai/`, `accounts/fireworks/models/`, `ft:`, `us.anthropic.`.
_PREFIX = re.compile(r"(?:.*/)?(?:ft:)?(?:(?:[a-z]{2,6}\.)?[a-z]+\.(?=[a-z]))?", re.IGNORECASE)


def answers_at_once(model: str) -> bool:
    """Is it known not to reason? `model` is as an endpoint is asked for it."""
    return len(model) <= _LONGEST and _is_known(model)


@lru_cache(1_000)
def _is_known(model: str) -> bool:
    if _REASONING.search(model):
        return False
    prefix = _PREFIX.match(model)
    return _ANSWER_AT_ONCE.match(model, prefix.end() if prefix else 0) is not None
