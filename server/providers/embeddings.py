"""Embeddings, of OpenAI's protocol: what is asked, what is sent upstream, and what that has used.

All that they use is input, of which a client may send tokens instead of texts. Source: the OpenAI
API reference, embeddings; those of Mistral, NVIDIA, Jina and Voyage for their members.
"""

from typing import Any, ClassVar

import orjson

from server.errors import Unsupported
from server.providers.ask import Ask, model_of
from server.providers.estimate import PROMPT_BYTES, Prompt
from server.providers.members import refuse_others
from server.providers.reading import objects
from server.providers.tally import Tally
from server.providers.usage import Counts, of_completion
from server.providers.wire import ChatCompletions, Form, Operation

_PASSING = frozenset(
    {
        *("dimensions", "encoding_format", "input", "model", "user"),
        *("embedding_type", "input_type", "normalized", "output_dimension", "output_dtype"),
        *("task", "truncate", "truncation"),
    }
)
MOST_TOKEN = 2**32 - 1
"""No vocabulary has as many."""
_WRONG_INPUT = "input must be a text, a list of tokens, or a list of these; none of them empty"


class EmbeddingTally(Tally):
    def _read_usage(self, value: Any) -> Counts | None:
        found = of_completion(value)
        if found is None:
            return None
        # The total is of nothing else.
        return Counts(max(found.input or 0, found.total or 0) or None, output=0)

    def _has_answer(self, reply: dict[str, Any]) -> bool:
        return bool(objects(reply.get("data")))

    def _is_empty(self, reply: dict[str, Any]) -> bool:
        return not reply.get("data")

    def _count_reply(self, reply: dict[str, Any]) -> None:
        if (usage := self._read_usage(reply.get("usage"))) is not None:
            self.progress.report(usage)


class Embeddings(ChatCompletions):
    operation: ClassVar[Operation] = "embeddings"
    turns: ClassVar[str] = "input"
    tally: ClassVar[type[Tally]] = EmbeddingTally

    def ask(self, body: dict[str, Any]) -> Ask:
        _inputs(body)
        return Ask(model_of(body), 0, 1, False, False, 0, 0)

    def request(self, body: dict[str, Any], model: str, limit: int, form: Form) -> bytes:
        return orjson.dumps({**body, "model": model})

    def may_reason(self, body: dict[str, Any], model: str, unasked: bool | None) -> bool:
        return False


EMBEDDINGS = Embeddings()


def measure_inputs(body: dict[str, Any]) -> Prompt:
    """What the inputs of a body that was asked for take: tokens are counted, texts estimated, each
    by itself, as even the shortest is a token."""
    tokens = sum(
        len(one) if isinstance(one, list) else -(-len(one.encode()) // PROMPT_BYTES)
        for one in _inputs(body)
    )
    return Prompt(tokens * PROMPT_BYTES, 0, (), False)


def refuse_unknown(body: dict[str, Any], allowed: frozenset[str]) -> None:
    """What is not known may be another input, or cost something. Raises Unsupported."""
    refuse_others(body, _PASSING | allowed, "embeddings")


def _inputs(body: dict[str, Any]) -> list[Any]:
    """The texts and the lists of tokens. Raises Unsupported."""
    given = body.get("input")
    if isinstance(given, str) or (isinstance(given, list) and _are_tokens(given)):
        given = [given]
    if not isinstance(given, list) or not given or not all(given):
        raise Unsupported("input", _WRONG_INPUT)
    kinds = _kinds(given)
    if kinds == {list} and all(map(_are_tokens, given)):
        return given
    if kinds != {str}:
        raise Unsupported("input", _WRONG_INPUT)
    return given


def _are_tokens(values: list[Any]) -> bool:
    return _kinds(values) == {int} and min(values) >= 0 and max(values) <= MOST_TOKEN


def _kinds(values: list[Any]) -> set[type[Any]]:
    return set(map(type, values))
