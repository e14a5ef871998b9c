"""What the audit holds against payments: no more was taken back than was due, and no more was due
than was given; and a plan that could not end."""

from collections.abc import Iterator
from typing import Any

import orjson

from server.amounts import is_amount

_DISPUTED = "disputed:"
_OF_PLAN = ("until", "rateLimit", "rateLimitWindow")


def faults_of_payments(
    user: dict[str, Any], account: list[bytes], values: list[bytes]
) -> Iterator[str]:
    """`account` and `values`: fields of the hashes, each before its value. Raises what Python
    raises when values are not as ours."""
    fields = {values[i].decode(): values[i + 1] for i in range(0, len(values), 2)}
    for name, text in fields.items():
        if name.startswith(_DISPUTED):
            if name.removeprefix(_DISPUTED) not in fields:
                yield f"{name} is of no payment"
            continue
        _, tokens, taken, due, _, _ = orjson.loads(text)
        amounts = taken, due, tokens
        if not all(map(is_amount, amounts)) or not taken <= due <= tokens:
            yield f"of {name} {taken!r} of {due!r} tokens due are taken back, of {tokens!r}"
    known = {account[i]: account[i + 1] for i in range(0, len(account), 2)}
    if int(known.get(b"applied", 0)) > int(known.get(b"ticket", 0)):
        yield "an answer of Stripe's counts whose ticket nobody took"
    plan = user.get("plan")
    if plan is None:
        return
    if not all(is_amount(plan[name]) for name in _OF_PLAN) or not is_amount(
        plan.get("freeLeft", 0)
    ):
        yield "the plan has amounts that are none"
    if not isinstance(plan["group"], str):
        yield f"behind the plan is the group {plan['group']!r}"
