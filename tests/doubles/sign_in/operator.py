"""SignInDouble: the double in a thread, and what a test says to it."""

import json
from collections import Counter
from typing import Any

from aiohttp import web

from tests.doubles.asking import ask
from tests.doubles.in_thread import AppInThread
from tests.doubles.sign_in.app import create_app


class Operator:
    """One of the two providers, at its issuer's `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def do(self, what: str, **body: Any) -> dict[str, Any]:
        return dict(ask(f"{self.url}/double/{what}", body))

    def client(self, client_id: str, **secret_or_key: str) -> str:
        self.do("client", client_id=client_id, **secret_or_key)
        return client_id

    def token(self, /, *without: str, **claims: Any) -> str:
        """An ID token, all in order but for these claims."""
        return str(self.do("token", claims=claims, without=without)["token"])

    def forged(self, /, by: str, header: dict[str, Any], secret: str = "", **claims: Any) -> str:
        answer = self.do("token", by=by, header=header, secret=secret, claims=claims)
        return str(answer["token"])

    def raw_token(self, claims: str) -> str:
        """Signed as it should be, whatever it says."""
        return str(self.do("token", claims=claims)["token"])

    def code(self, client_id: str, **claims: Any) -> str:
        return str(self.do("code", client_id=client_id, claims=claims)["code"])

    def keys(self, how: str) -> None:
        self.do("keys", how=how)

    def fault(self, of: str, **fault: Any) -> None:
        """Until the next `fault` of the same."""
        self.do("fault", of=of, **fault)

    def asked(self, what: str) -> int:
        """How often, so far."""
        return Counter(self.do("seen")["asked"])[what]

    def notification(
        self, client_id: str, kind: str, subject: str, as_text: bool = True, **claims: Any
    ) -> str:
        """As Apple posts it; `event_time` and others of the event's go into `claims`, too."""
        at = claims.pop("event_time", claims.get("iat", 4_000_000_000))
        event = {"type": kind, "sub": subject, "event_time": at}
        events = json.dumps(event) if as_text else event
        return self.token("sub", aud=client_id, jti="1", events=events, **claims)


class SignInDouble(AppInThread):
    """Google and Apple on a free port of 127.0.0.1 while the body of `with` runs."""

    google: Operator
    apple: Operator

    def make_app(self) -> web.Application:
        return create_app()

    def __enter__(self) -> "SignInDouble":
        super().__enter__()
        self.google = Operator(f"{self.url}/google")
        self.apple = Operator(f"{self.url}/apple")
        return self

    def reset(self) -> None:
        """As new, at the same address."""
        self.google.do("reset")
        self.apple.do("reset")

    @property
    def settings(self) -> dict[str, str]:
        """Of a server that is to sign in there."""
        return {
            "GOOGLE_URL": self.google.url,
            "APPLE_URL": self.apple.url,
            "ALLOW_PRIVATE_UPSTREAMS": "1",
        }
