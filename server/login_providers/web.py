"""Web: questions to login providers, whose hosts are the operator's choice."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from server import metrics
from server.login_providers.errors import LoginProviderFailed, LoginProviderTimeout
from server.login_providers.identity import ProviderName
from server.upstream.client import FORM, Upstream
from server.upstream.errors import TimedOut, UpstreamError
from server.upstream.response import Response

LARGEST_ANSWER = 64 * 1024
"""Bytes; the providers' own have at most some 5 KB."""
QUESTIONS = 3
"""That a sign-in may have to ask one after the other: each may take this part of the time."""

_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})(?:$|[,\s])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is empty where it is no JSON object; `max_age` in seconds, 0 if nothing is said."""

    status: int
    body: dict[str, Any]
    max_age: int


class Web:
    """Asks one provider, through `upstream`; a sign-in may take `seconds` in all."""

    def __init__(self, upstream: Upstream, provider: ProviderName, seconds: float) -> None:
        self._upstream = upstream
        self.provider = provider
        self._seconds = seconds / QUESTIONS

    async def get(self, what: str, url: str) -> Answer:
        """`what`, here and below, is asked for, as the metrics have it. Raises LoginProviderFailed
        and LoginProviderTimeout where no answer comes, whole, in time."""
        return await self._ask(what, url, None)

    async def post(self, what: str, url: str, form: Mapping[str, str]) -> Answer:
        return await self._ask(what, url, urlencode(form).encode())

    async def _ask(self, what: str, url: str, form: bytes | None) -> Answer:
        outcome = "failed"
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._answer(url, form)
            outcome = "ok" if answer.status == 200 else "refused"
            return answer
        except (TimeoutError, TimedOut):
            outcome = "timed_out"
            raise LoginProviderTimeout("no answer in time") from None
        except UpstreamError as error:
            raise LoginProviderFailed(str(error)) from None
        finally:
            metrics.login_provider_asked(self.provider, what, outcome)

    async def _answer(self, url: str, form: bytes | None) -> Answer:
        if form is None:
            response = await self._upstream.get(url, {}, self._seconds)
        else:
            response = await self._upstream.post(url, FORM, form, seconds=self._seconds)
        body = await response.read(LARGEST_ANSWER)
        return Answer(response.status, _object(body), _max_age(response))


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _max_age(response: Response) -> int:
    found = _MAX_AGE.search(response.headers.get("cache-control", ""))
    return int(found[1]) if found else 0
