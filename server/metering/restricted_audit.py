"""What the audit holds against restricted keys: counted amounts, and holds that are theirs."""

from collections.abc import Iterator
from typing import Any

import orjson

from server.amounts import is_amount
from server.who import KEY_ID_DIGITS

_SPENT = ":spent"


def faults_of_restricted(
    user: dict[str, Any], values: list[bytes], expiry: list[int]
) -> Iterator[str]:
    """`values`: fields of the hash, each before its value. Raises what Python raises when values
    are not as ours."""
    fields = {values[i].decode(): values[i + 1] for i in range(0, len(values), 2)}
    if fields and not expiry:
        yield "the restricted keys never expire"
    keys = {name: orjson.loads(text) for name, text in fields.items() if _SPENT not in name}
    for key_id, key in keys.items():
        spent = int(fields.get(key_id + _SPENT, 0))
        if not is_amount(key["tokens"]) or not is_amount(spent):
            yield f"restricted key {key_id} has spent {spent} of {key['tokens']!r}"
        if key["digest"][:KEY_ID_DIGITS] != key_id:
            yield f"restricted key {key_id} is not its own"
    for name in fields.keys() - keys.keys():
        if name.removesuffix(_SPENT) not in keys:
            yield f"{name} is of no restricted key"
    for hold in user["holds"].values():
        if len(hold) > 3 and (not isinstance(hold[3], str) or hold[2] != "own"):
            yield f"a hold of the restricted key {hold[3]!r}"
