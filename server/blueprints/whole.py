"""Work that is done whole, once it has begun."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from server.blueprints.request import Request
from server.errors import Refusal

_Result = TypeVar("_Result")


async def whole(request: Request, work: Coroutine[Any, Any, _Result]) -> _Result:
    """What it results in. All of it is done, even if the client leaves."""
    task = asyncio.ensure_future(_outcome(work))
    request.services.holding.wait_for(task)
    outcome = await asyncio.shield(task)
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


async def _outcome(work: Coroutine[Any, Any, _Result]) -> _Result | Refusal:
    """A refusal is no fault of ours, though nobody may be there any more to be told."""
    try:
        return await work
    except Refusal as refusal:
        return refusal
