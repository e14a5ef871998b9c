"""A worker on its own: what it loads, and how often strangers can make it ask a provider."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.callers import Load
from tests.doubles.sign_in import SignInDouble
from tests.doubles.sign_in.tokens import encode
from tests.hurried import Hurried
from tests.login_providers.signing import App
from tests.processes import Valkey

TOKENS = 1_000


@pytest.fixture
def alone(valkey: Valkey, own: SignInDouble, tmp_path: Path) -> Iterator[Hurried]:
    """Of one worker; the addresses of this machine have no limit."""
    timeouts = {"login_provider": 1.5}
    with Hurried(tmp_path / "out", valkey.url, timeouts, **own.settings) as server:
        yield server


def has_loaded(server: Hurried, library: str) -> bool:
    (pid,) = server.worker_pids()
    return library in Path(f"/proc/{pid}/maps").read_text()


async def test_a_worker_and_its_login_providers(alone: Hurried, own: SignInDouble) -> None:
    with httpx.Client(base_url=alone.url, timeout=10) as client:
        app = App(client, own)
        old = {provider: app.token(provider) for provider in ("google", "apple")}

        # What no sign-in has needed is not there.
        assert app.api.login().charge(1).status_code == 200
        assert app.refusal("google", "a.b.c") == "malformed"
        assert not has_loaded(alone, "cryptography")

        # Providers that cannot be asked.
        own.google.fault("discovery", status=500)
        reply = app.sign_in("google", old["google"])
        assert (reply.status_code, reply.json()) == (502, {"error": "Login provider failed"})
        own.apple.fault("keys", delay=30)
        reply = app.sign_in("apple", old["apple"])
        assert (reply.status_code, reply.json()) == (504, {"error": "Login provider timed out"})
        assert reply.headers["cache-control"] == "no-store"
        for provider in ("google", "apple"):
            own.google.fault("discovery")
            own.apple.fault("keys")
            assert app.sign_in(provider, old[provider]).status_code == 200
        assert has_loaded(alone, "cryptography")

        # A thousand tokens, each by another key.
        before = own.google.asked("keys")
        _, body, signature = app.at("google").forged("stranger", {}, aud=app.web).split(".")
        async with Load(alone.url, 20) as load:

            async def stranger(_: int) -> int:
                kid = f'{{"alg":"RS256","kid":"{random.getrandbits(60):030d}"}}'
                token = f"{encode(kid.encode())}.{body}.{signature}"
                path = f"/{app.api.tenant_id}/auth/google"
                return (await load.call("POST", path, body={"idToken": token})).status

            assert set(await asyncio.gather(*map(stranger, range(TOKENS)))) == {401}
        assert own.google.asked("keys") - before <= 1

        # A new key works at once; a bad day of the provider's ends no sign-in.
        own.apple.keys("rotate")
        assert app.sign_in("apple", app.token("apple")).status_code == 200
        own.apple.fault("keys", status=200, body="<html>Sorry</html>")
        own.google.fault("keys", status=500)
        assert app.sign_in("apple", old["apple"]).status_code == 200
        assert app.sign_in("google", old["google"]).status_code == 200
        assert app.refusal("apple", own.apple.forged("stranger", {"kid": "k"})) == "signature"
