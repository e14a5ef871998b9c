"""Issuer: what a login provider keeps, whichever it is."""

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from tests.doubles.sign_in import tokens

CODE_SECONDS = 300
LONGEST_SECRET_SECONDS = 15_777_000
"""Half a year, of a client secret of Apple's."""


@dataclass
class Client:
    """With a `secret`, or with a key (`public_key`, PEM) by which secrets are made."""

    secret: str | None = None
    team_id: str = ""
    key_id: str = ""
    public_key: str = ""


@dataclass
class Code:
    client_id: str
    claims: dict[str, Any]
    redirect_uri: str | None
    challenge: str | None
    made_at: float


@dataclass
class Fault:
    """What happens to a question instead: `delay` before it, then `status` and `body`, if any; or a
    body of which nothing but the beginning comes for `stall`. Both in seconds."""

    delay: float = 0
    stall: float = 0
    status: int = 0
    body: str = ""
    cache_control: str | None = None


@dataclass
class Issuer:
    name: str
    url: str = ""
    clients: dict[str, Client] = field(default_factory=dict)
    person: dict[str, Any] = field(default_factory=dict)
    """The claims of who is in front of the browser; `denies` among them."""
    codes: dict[str, Code] = field(default_factory=dict)
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    """With the clients that have them."""
    revoked: list[dict[str, str]] = field(default_factory=list)
    known: set[tuple[str, str]] = field(default_factory=set)
    """Client and subject, of those who have signed in before."""
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """What was asked for: discovery, keys, authorize, token, revoke."""
    keys: dict[str, int] = field(default_factory=lambda: {"key-1": 1})
    """Their IDs, the newest last, with their numbers."""
    with_junk: bool = False
    ahead: float = 0
    """Seconds that its clock is, for codes."""

    def change_keys(self, how: str) -> None:
        newest = max(self.keys.values()) + 1
        if how == "rotate":
            self.keys[f"key-{newest}"] = newest
        elif how == "replace":  # another one by the same name
            self.keys[list(self.keys)[-1]] = newest
        elif how == "withdraw":  # all but the newest
            for key_id in list(self.keys)[:-1]:
                del self.keys[key_id]
        elif how == "junk":
            self.with_junk = True
        else:
            raise ValueError(how)

    def jwks(self) -> dict[str, Any]:
        real = [tokens.jwk(number, key_id) for key_id, number in self.keys.items()]
        return {"keys": [*tokens.junk(), *real, *tokens.junk()] if self.with_junk else real}

    def claims(self, client_id: str, **claims: Any) -> dict[str, Any]:
        now = int(time.time())
        life = 3_600 if self.name == "google" else 86_400
        usual = {"iss": self.url, "aud": client_id, "iat": now, "exp": now + life, "sub": "ada"}
        return usual | claims

    def sign(self, claims: Any) -> str:
        key_id, number = list(self.keys.items())[-1]
        return tokens.signed({"alg": "RS256", "kid": key_id}, claims, number)

    def make_code(
        self,
        client_id: str,
        claims: dict[str, Any],
        redirect_uri: str | None = None,
        challenge: str | None = None,
    ) -> str:
        code = f"c.{uuid4().hex}"
        made_at = time.time() + self.ahead
        self.codes[code] = Code(client_id, claims, redirect_uri, challenge, made_at)
        return code

    def take_code(self, form: dict[str, str]) -> Code | str:
        """The code, which nobody can use again, or the error."""
        client_id = form.get("client_id", "")
        if not self.is_client(client_id, form.get("client_secret", "")):
            return "invalid_client"
        if form.get("grant_type") != "authorization_code":
            return "unsupported_grant_type"
        code = self.codes.get(form.get("code", ""))
        if code is None or code.client_id != client_id:
            return "invalid_grant"
        del self.codes[form["code"]]
        is_old = time.time() + self.ahead - code.made_at > CODE_SECONDS
        verifier = form.get("code_verifier", "")
        digest = tokens.encode(hashlib.sha256(verifier.encode()).digest())
        is_wrong = code.challenge is not None and code.challenge != digest
        if is_old or is_wrong or code.redirect_uri != form.get("redirect_uri"):
            return "invalid_grant"
        return code

    def is_client(self, client_id: str, secret: str) -> bool:
        client = self.clients.get(client_id)
        if client is None:
            return False
        if client.secret is not None:
            return client.secret == secret
        try:
            key = ECKey.import_key(client.public_key)
            token = jwt.decode(secret, key, algorithms=["ES256"])
        except (JoseError, ValueError):
            return False
        said, now = token.claims, time.time()
        wanted = {"iss": client.team_id, "sub": client_id, "aud": self.url}
        return (
            token.header.get("kid") == client.key_id
            and wanted.items() <= said.items()
            and said["iat"] <= now < said["exp"] <= said["iat"] + LONGEST_SECRET_SECONDS
        )
