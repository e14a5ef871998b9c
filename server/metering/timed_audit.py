"""What the audit holds against calls that are billed by time: that each is settled some day."""

import time
from collections.abc import Iterator
from typing import Any

import orjson

from server.amounts import is_amount

# Longer than a provider may be silent (server/timed/verdict.py).
_MOST_MS = 2 * 86_400_000


def faults_of_timed(user: dict[str, Any], values: list[bytes], expiry: list[int]) -> Iterator[str]:
    """`values`: fields of the hash, each before its value. Raises what Python raises when values
    are not as ours."""
    if values and not expiry:
        yield "the calls never expire"
    for number in range(0, len(values), 2):
        call_id, call = values[number].decode(), orjson.loads(values[number + 1])
        created_ms, seconds = call["created_ms"], call["seconds"]
        if not is_amount(created_ms) or not is_amount(seconds):
            yield f"call {call_id} was made at {created_ms!r} for {seconds!r}"
        elif created_ms + seconds * 1000 + _MOST_MS < 1000 * time.time():
            yield f"call {call_id} was never settled"
        hold = user["holds"].get(call["hold_id"])
        if hold is not None and hold[2] != "own":
            yield f"call {call_id} has a hold of another kind"
