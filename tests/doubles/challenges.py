"""Turnstile, hCaptcha and reCAPTCHA, as far as a server sees them: siteverify, of tokens that a
test or a page has made.

    with Challenges() as challenges:      # TURNSTILE_URL=f"{challenges.url}/turnstile", and so on
        token = challenges.solve("turnstile", hostname="app.example.com")
        # ... log in with it ...
        assert challenges.asked("turnstile") == [token]

A page makes one by `POST /turnstile/tokens` with the same members as JSON. A token is good once,
but for one that is solved with `times=2`; `says` is what is answered instead, whatever the secret.
"""

import asyncio
import json
import threading
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from aiohttp import web

from tests.doubles.in_thread import AppInThread

SECRET = "the-secret-of-a-challenge"
PAGE = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}
# Of a token that came before, or that is too old.
USED = {
    "turnstile": "timeout-or-duplicate",
    "hcaptcha": "already-seen-response",
    "recaptcha": "timeout-or-duplicate",
}


@dataclass
class Token:
    hostname: str = "app.example.com"
    score: object = None
    """Of reCAPTCHA v3."""
    times: int = 1
    says: str | None = None
    """Instead of what there is to say; '' for a connection that is lost."""
    status: int = 200
    delay: float = 0
    """Seconds."""


@dataclass
class _Provider:
    tokens: dict[str, Token] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


class Challenges(AppInThread):
    """All three, while the body of `with` runs."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._providers = {name: _Provider() for name in USED}

    def solve(self, provider: str, **members: Any) -> str:
        """A token; `members` are those of Token."""
        token = f"token-{uuid4()}"
        with self._lock:
            self._providers[provider].tokens[token] = Token(**members)
        return token

    def asked(self, provider: str) -> list[str]:
        """The tokens that it was asked of, the oldest first."""
        with self._lock:
            return list(self._providers[provider].asked)

    def make_app(self) -> web.Application:
        app = web.Application()
        for name in USED:
            app.router.add_post(f"/{name}", self._verify)
            app.router.add_post(f"/{name}/tokens", self._solve)
            app.router.add_options(f"/{name}/tokens", self._preflight)
        return app

    async def _preflight(self, _: web.Request) -> web.Response:
        return web.Response(headers=PAGE)

    async def _solve(self, request: web.Request) -> web.Response:
        members = json.loads(await request.text() or "{}")
        token = self.solve(request.path.split("/")[1], **members)
        return web.json_response({"token": token}, headers=PAGE)

    async def _verify(self, request: web.Request) -> web.Response:
        name = request.path.split("/")[1]
        if request.content_type != "application/x-www-form-urlencoded":
            return web.Response(status=415)
        form = {key: str(value) for key, value in (await request.post()).items()}
        text = form.get("response", "")
        with self._lock:
            self._providers[name].asked.append(text)
            token = self._providers[name].tokens.get(text)
            is_good = token is not None and token.times > 0
            if token is not None:
                token.times -= 1
        if token is not None and token.says is not None:
            await asyncio.sleep(token.delay)
            if not token.says and request.transport is not None:
                request.transport.abort()
            return web.Response(text=token.says, status=token.status)
        if form.get("secret") != SECRET:
            return _refused("invalid-input-secret")
        if token is None or not is_good:
            return _refused("invalid-input-response" if token is None else USED[name])
        await asyncio.sleep(token.delay)
        scored = {} if token.score is None else {"score": token.score, "action": "login"}
        said = {"success": True, "challenge_ts": "2026-01-01T00:00:00Z", **scored}
        return web.json_response({**said, "hostname": token.hostname, "error-codes": []})


def _refused(code: str) -> web.Response:
    return web.json_response({"success": False, "error-codes": [code]})
