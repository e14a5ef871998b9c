"""A tenant's account at Stripe, as it is asked."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from server.billing.errors import BillingFailed, BillingTimeout, QuestionRefused
from server.errors import KeyReused
from server.metrics.billing import stripe_asked
from server.recent import Recent
from server.upstream.client import Upstream

if TYPE_CHECKING:
    from server.billing.library import Client

log = logging.getLogger(__name__)

REMEMBERED_ACCOUNTS = 500
PAGE = 100
"""Objects, which is the most that Stripe gives at once."""

Object = dict[str, Any]
"""Of Stripe's, as its JSON is."""


class StripeAccount:
    """What is asked with one API key. Raises BillingFailed, BillingTimeout."""

    def __init__(self, tenant_id: str, is_live: bool, client: "Client", seconds: float) -> None:
        self.tenant_id = tenant_id
        self.is_live = is_live
        self._client = client
        self._seconds = seconds

    async def get(self, path: str, **params: Any) -> Object | None:
        """An object; None if there is none."""
        return await self._ask("get", path, params)

    async def post(self, path: str, once: str = "", **params: Any) -> Object:
        """What was made or changed; with the same `once` no second time, in 24 hours at least.

        Raises KeyReused if something else was, with that."""
        if once:
            params["idempotency_key"] = once
        made = await self._ask("post", path, params)
        if made is None:
            raise BillingFailed("nothing was there")
        return made

    async def delete(self, path: str) -> None:
        """It may have gone before."""
        await self._ask("delete", path, {})

    async def newest(self, path: str, **params: Any) -> list[Object]:
        """The newest PAGE of those that `params` say."""
        found = await self._ask("get", path, {"limit": PAGE, **params})
        objects = found.get("data") if found is not None else []
        if not isinstance(objects, list) or not all(isinstance(each, dict) for each in objects):
            raise BillingFailed("an odd answer")
        return objects

    async def pages(self, path: str, **params: Any) -> AsyncIterator[list[Object]]:
        """All of them, PAGE by PAGE."""
        while objects := await self.newest(path, **params):
            yield objects
            if len(objects) < PAGE:
                return
            params["starting_after"] = objects[-1]["id"]

    async def _ask(self, method: str, path: str, params: dict[str, Any]) -> Object | None:
        from server.billing.library import (
            StripeError,
            is_absent,
            is_mismatch,
            is_refused,
            may_pass,
            told,
        )

        outcome = "failed"
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._client.ask(method, f"/v1/{path}", params)
            if not isinstance(answer, dict):
                raise BillingFailed("an odd answer")
            outcome = "ok"
            return answer
        except TimeoutError:
            outcome = "timed_out"
            raise BillingTimeout("no answer in time") from None
        except StripeError as error:
            outcome = "refused"
            if is_absent(error):
                return None
            if is_mismatch(error):
                raise KeyReused from None
            # A key that is refused, or a question that cannot be, is not mended by asking again.
            level = logging.WARNING if may_pass(error) else logging.ERROR
            what = path.split("/")[0]
            log.log(
                level, "Stripe, asked for %s by tenant %s: %s", what, self.tenant_id, told(error)
            )
            raise (QuestionRefused if is_refused(error) else BillingFailed)(told(error)) from None
        finally:
            stripe_asked(self.tenant_id, outcome)


class StripeAccounts:
    """Those of all tenants, at `url`, which has /v1/... under it."""

    def __init__(self, upstream: Upstream, url: str, seconds: float) -> None:
        self._upstream = upstream
        self._url = url
        self._seconds = seconds
        self._known: Recent[StripeAccount] = Recent(REMEMBERED_ACCOUNTS)

    def of(self, tenant_id: str, api_key: str) -> StripeAccount:
        from server.billing.library import Client

        name = f"{tenant_id} {api_key}"
        account = self._known.get(name)
        if account is None:
            client = Client(api_key, self._url, self._upstream, self._seconds)
            is_live = "_live_" in api_key[:10]
            account = StripeAccount(tenant_id, is_live, client, self._seconds)
            self._known.put(name, account)
        return account
