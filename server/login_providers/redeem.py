"""Codes, redeemed for tokens at a login provider."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

from server.login_providers.errors import LoginProviderFailed
from server.login_providers.web import Answer, Web

log = logging.getLogger(__name__)

LONGEST_REFRESH_TOKEN = 2048

_ERROR = re.compile(r"[a-z_]{1,40}")
_OF_THE_CLIENT = ("invalid_client", "unauthorized_client")


@dataclass(frozen=True, slots=True)
class Tokens:
    id_token: str
    refresh_token: str | None


async def redeem(web: Web, url: str, form: Mapping[str, str], tenant_id: str) -> Tokens:
    """Raises LoginProviderFailed, also for a code that is not taken: `reason` says so then."""
    given = {"grant_type": "authorization_code", **form}
    answer = await web.post("token", url, given)
    if answer.status != 200:
        raise refused(answer, tenant_id, web.provider)
    id_token, refresh_token = answer.body.get("id_token"), answer.body.get("refresh_token")
    if not isinstance(id_token, str):
        raise LoginProviderFailed("no ID token")
    if not isinstance(refresh_token, str) or len(refresh_token) > LONGEST_REFRESH_TOKEN:
        refresh_token = None
    return Tokens(id_token, refresh_token)


def refused(answer: Answer, tenant_id: str, provider: str) -> LoginProviderFailed:
    """To be raised; tells the log where only the tenant's config can be the reason."""
    error = answer.body.get("error")
    if not isinstance(error, str) or not _ERROR.fullmatch(error):
        return LoginProviderFailed(f"status {answer.status}")
    if error in _OF_THE_CLIENT:
        log.error("Tenant %s: %s refuses its client ID and secret: %s", tenant_id, provider, error)
    return LoginProviderFailed(error)
