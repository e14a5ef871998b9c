"""Challenges: what a browser has to solve before it may log in, so that users cost more than calls.

A page solves one of its provider's, and gets a token that is good once; the provider says whether
it is. All three are asked alike, by a form, and answer alike.

Source: https://developers.cloudflare.com/turnstile/get-started/server-side-validation/,
https://docs.hcaptcha.com/#verify-the-user-response-server-side,
https://developers.google.com/recaptcha/docs/verify
"""

import asyncio
import logging
from typing import Any
from urllib.parse import urlencode

import orjson

from server.identity.errors import ChallengeFailed, ChallengeUnavailable
from server.settings import Settings
from server.tenants.auth import Challenge
from server.upstream.client import FORM, Upstream
from server.upstream.errors import UpstreamError

log = logging.getLogger(__name__)

_MOST_REPLY_BYTES = 16 * 1024
# What they say of us, or of themselves, and not of the token.
_NOT_OF_THE_TOKEN = ("missing-input-secret", "invalid-input-secret", "internal-error")


class Challenges:
    """Asks by `upstream`, where `settings` say."""

    def __init__(self, upstream: Upstream, settings: Settings) -> None:
        self._upstream = upstream
        self._urls = {
            "turnstile": settings.turnstile_url,
            "hcaptcha": settings.hcaptcha_url,
            "recaptcha": settings.recaptcha_url,
        }

    async def verify(self, tenant_id: str, challenge: Challenge, token: str) -> None:
        """Asks once. Raises ChallengeFailed, and ChallengeUnavailable if nobody can say."""
        try:
            async with asyncio.timeout(self._upstream.timeouts.challenge):
                status, said = await self._ask(tenant_id, challenge, token)
            _judge(challenge, status, said)
        except TimeoutError:
            refusal = ChallengeUnavailable("no answer in time")
        except UpstreamError as error:
            refusal = ChallengeUnavailable(str(error))
        except ChallengeUnavailable as error:
            refusal = error
        else:
            return
        log.error("Challenge of tenant %s, %s: %s", tenant_id, challenge.provider, refusal.reason)
        raise refusal

    async def _ask(self, tenant_id: str, challenge: Challenge, token: str) -> tuple[int, bytes]:
        """The reply's status and body. Raises UpstreamError."""
        form = urlencode({"secret": challenge.secret, "response": token}).encode()
        url = self._urls[challenge.provider]
        response = await self._upstream.post(url, FORM, form, tenant_id=tenant_id)
        return response.status, await response.read(_MOST_REPLY_BYTES)


def _judge(challenge: Challenge, status: int, said: bytes) -> None:
    """Raises ChallengeFailed, ChallengeUnavailable."""
    if status == 429 or status >= 500:
        raise ChallengeUnavailable(f"status {status}")
    try:
        reply = orjson.loads(said)
    except orjson.JSONDecodeError:
        reply = None
    success = reply.get("success") if isinstance(reply, dict) else None
    if success is False:
        _refuse(reply.get("error-codes"))
    if success is not True or status != 200:
        raise ChallengeUnavailable(f"status {status}, and no answer that there should be")
    if not _is_of_a_page(challenge, reply) or not _is_good_enough(challenge, reply):
        raise ChallengeFailed


def _refuse(codes: Any) -> None:
    """Raises ChallengeFailed, ChallengeUnavailable."""
    told = [code for code in _NOT_OF_THE_TOKEN if isinstance(codes, list) and code in codes]
    if told:
        raise ChallengeUnavailable(told[0])
    raise ChallengeFailed


def _is_of_a_page(challenge: Challenge, reply: dict[str, Any]) -> bool:
    """Was it solved where it may be?"""
    hostname = reply.get("hostname")
    return not challenge.hostnames or hostname in challenge.hostnames


def _is_good_enough(challenge: Challenge, reply: dict[str, Any]) -> bool:
    """Of reCAPTCHA v3, which refuses nobody by itself. hCaptcha's score is one of risk."""
    if challenge.provider != "recaptcha" or "score" not in reply:
        return True
    score = reply["score"]
    return type(score) in (int, float) and bool(score >= challenge.min_score)
