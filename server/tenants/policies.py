"""Policies: what the users of each group may ask of providers.

Groups that may do the same share a policy. A request is judged once by each policy, before anybody
knows whose it is; then the script that finds the user picks what holds for its group.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from server.amounts import LARGEST
from server.providers.ask import PROMPT
from server.tenants.endpoints import (
    EmbeddingsEndpoints,
    Providers,
    RealtimeEndpoints,
    TextEndpoints,
)
from server.tenants.groups import Group
from server.tenants.models import ANY

ANY_NUMBER = 50
"""Of calls at the same time: as many as a user may have holds."""

_Models = frozenset[tuple[str, str]]
_NONE: _Models = frozenset()
_Endpoints = TextEndpoints | EmbeddingsEndpoints | RealtimeEndpoints | None


class Allowed(NamedTuple):
    """`models`: endpoints and models of theirs, None for all that is offered; `names`: models
    wherever they are `configured`; `open`: endpoints of which any model may be asked for."""

    models: _Models | None
    names: frozenset[str]
    configured: _Models
    open: frozenset[str]

    def may_use(self, endpoint: str, model: str) -> bool:
        if self.models is None or (endpoint, model) in self.models or endpoint in self.open:
            return True
        return model in self.names and (endpoint, model) in self.configured


_ALL = Allowed(None, frozenset(), _NONE, frozenset())


class Policy(NamedTuple):
    """Bounds are in tokens, and None where there is none.

    `text`, `embeddings` and `voice` are what it may ask for of such endpoints; `prompts`: those
    that it may use whatever their models, `*` for all. `has_text`: chats and messages of the user's
    own wording; `has_embeddings`; `has_voice`: sessions and calls.
    `is_open`: of text and embeddings nothing is refused, and nothing cut.
    """

    text: Allowed
    embeddings: Allowed
    voice: Allowed
    prompts: frozenset[str]
    max_output: int | None
    max_input: int | None
    concurrent: int | None
    has_text: bool
    has_embeddings: bool
    has_voice: bool
    prompts_only: bool
    is_open: bool

    def may_use(self, endpoint: str, model: str) -> bool:
        """Of text endpoints."""
        return self.text.may_use(endpoint, model)

    def may_fill(self, prompt: str) -> bool:
        """May it ask for this prompt, '' for none, whatever its model?"""
        return prompt in self.prompts or (ANY in self.prompts and bool(prompt))


class Policies:
    """Those of a config."""

    def __init__(
        self,
        groups: Mapping[str, Group],
        providers: Providers,
    ) -> None:
        by_policy: dict[Policy, int] = {}
        self._numbers: dict[str, int] = {}
        for name, group in groups.items():
            policy = _policy(group, providers)
            self._numbers[name] = by_policy.setdefault(policy, len(by_policy))
        self.each = list(by_policy)
        """By their numbers."""
        self._verdicts = "".join(_line(name, number) for name, number in self._numbers.items())
        first = self.each[0]
        self.are_open = len(self.each) == 1 and first.is_open and first.concurrent is None
        """No group is bounded in anything, as where the config says nothing of it."""

    def verdicts(self, of_policies: Sequence[str]) -> str:
        """Of each group what its policy says, as lua/hold.lua wants it."""
        return self._verdicts.format(*of_policies)

    @cached_property
    def open_verdicts(self) -> str:
        """Of all groups that they may do anything."""
        return self.verdicts(
            [f"{number} {LARGEST} {ANY_NUMBER}" for number in range(len(self.each))]
        )

    def find(self, group: str) -> Policy | None:
        """None for a group that the config has not."""
        number = self._numbers.get(group)
        return None if number is None else self.each[number]


def _line(group: str, number: int) -> str:
    """A name with a character of control, from before there were rules for names, could say what
    others have, and is left out."""
    name = group.replace("{", "{{").replace("}", "}}")
    return f"\n{name}\t{{{number}}}" if group.isprintable() else ""


def _policy(group: Group, providers: Providers) -> Policy:
    kinds = group.endpoints
    has_text = kinds is None or "text" in kinds
    has_embeddings = kinds is None or "embeddings" in kinds
    has_voice = (kinds is None or "realtime" in kinds) and not group.prompts_only
    prompts = (name[len(PROMPT) :] for name in group.models or () if name.startswith(PROMPT))
    # One set for all: a config can have many policies of many names.
    names = None if group.models is None or ANY in group.models else frozenset(group.models)
    of_text, of_embeddings = _allowed(names, providers.text), _allowed(names, providers.embeddings)
    bounds = (of_text.models, of_embeddings.models, group.max_output, group.max_input)
    return Policy(
        of_text,
        of_embeddings,
        _allowed(names, providers.realtime),
        frozenset(prompts),
        group.max_output,
        group.max_input,
        group.concurrent,
        has_text,
        has_embeddings,
        has_voice,
        group.prompts_only,
        has_text and has_embeddings and not group.prompts_only and bounds == (None,) * 4,
    )


def _allowed(wanted: frozenset[str] | None, endpoints: _Endpoints) -> Allowed:
    """A model's name means it wherever it is offered; `<endpoint>/<model>` means it there alone.
    That is looked up when it is asked: a short config can have very many of both."""
    if wanted is None or endpoints is None:
        return _ALL
    models = frozenset(found for name in wanted if (found := endpoints.find(name)) is not None)
    ending = f"/{ANY}"
    opened = {name.removesuffix(ending) for name in wanted if name.endswith(ending)}
    configured = endpoints.configured if wanted else _NONE
    return Allowed(models, wanted, configured, frozenset(opened & endpoints.endpoints.keys()))
