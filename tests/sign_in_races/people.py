"""People who sign in, and ask again when a worker has died in between."""

from typing import Any
from uuid import uuid4

import aiohttp

from tests.api import User
from tests.callers import Answer, Load
from tests.login_providers.signing import App


async def ask(
    load: Load, method: str, path: str, user: User | None = None, body: object = None, **more: str
) -> Answer | None:
    """None where nobody knows what has become of it: the worker died, or was too busy to know."""
    try:
        headers = (user.headers if user else {}) | more
        answer = await load.call(method, path, headers, body)
    except (aiohttp.ClientError, ConnectionError, TimeoutError):
        return None
    return answer if answer.status != 503 else None


async def insist(
    load: Load, method: str, path: str, user: User | None = None, body: object = None
) -> Answer:
    """Until there is an answer."""
    while True:
        answer = await ask(load, method, path, user, body)
        if answer is not None:
            return answer


class Signed(User):
    """By what a sign-in was answered."""

    def __init__(self, app: App, reply: dict[str, Any]) -> None:
        super().__init__(app.api, reply)
        self.reply = reply


class Somebody:
    """With an account at a login provider."""

    def __init__(self, app: App, provider: str = "google") -> None:
        self.app, self.provider = app, provider
        self.subject = f"sub-{uuid4().hex}"
        # The same each time: to sign one takes longer than to log in.
        self.token = app.token(provider, sub=self.subject)

    @property
    def path(self) -> str:
        return f"/{self.app.api.tenant_id}/auth/{self.provider}"

    async def sign_in(self, load: Load, user: User | None = None, **body: Any) -> Signed:
        answer = await insist(load, "POST", self.path, user, {"idToken": self.token, **body})
        assert answer.status == 200, answer.body
        return Signed(self.app, answer.body)


async def log_in(load: Load, app: App) -> User:
    """Anonymously."""
    answer = await insist(load, "POST", f"/{app.api.tenant_id}/auth/anonymous")
    assert answer.status == 200, answer.body
    return User(app.api, answer.body)


async def works(load: Load, user: User) -> bool:
    """The key; it must be of the same user as ever."""
    is_restricted = user.api_key.startswith("rk_")
    path = "/balance" if is_restricted else "/auth/me"
    answer = await insist(load, "GET", f"/{user.api.tenant_id}{path}", user)
    assert answer.status in (200, 401), answer.body
    if answer.status == 200 and not is_restricted:
        assert answer.body["userId"] == user.user_id
    return answer.status == 200
