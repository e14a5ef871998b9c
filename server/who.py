"""What accompanies each change of a balance: whose it is, and what caused it."""

from dataclasses import dataclass
from typing import NamedTuple

KEY_ID_DIGITS = 16
"""Of the digest of a restricted key, which are no secret."""


class RestrictedKey(NamedTuple):
    """An API key for less than all that its user may spend; lua/prelude/keys.lua counts.

    `models`: the names, as the list of models has them, of what it may ask for, server prompts as
    `prompt/<name>`; `origins` those of the pages that may use it; each None for all.
    """

    digest: str
    models: frozenset[str] | None
    origins: frozenset[str] | None

    @property
    def key_id(self) -> str:
        return self.digest[:KEY_ID_DIGITS]


@dataclass(slots=True)
class Who:
    """A user with the API key that it came with; '' where nobody's key is to be checked."""

    tenant_id: str
    user_id: str
    api_key: str
    restricted: RestrictedKey | None = None
    """What the API key is, if it is a restricted one."""

    @property
    def credential(self) -> str:
        """The API key as scripts know it."""
        return self.api_key if self.restricted is None else f"rk:{self.restricted.digest}"

    @property
    def key_id(self) -> str:
        return self.restricted.key_id if self.restricted else ""


Ref = dict[str, str | int]
"""What a ledger entry says of its cause, for example the request's ID; small."""
