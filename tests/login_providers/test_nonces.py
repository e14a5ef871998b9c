"""The nonce that an app has asked for is in the token, as it is or hashed."""

from base64 import b64encode
from hashlib import sha256

import httpx
import pytest

from tests.doubles.sign_in import SignInDouble
from tests.login_providers.signing import PROVIDERS, App

NONCE = "n-0S6_WzA2Mj"
HASHED = sha256(NONCE.encode()).hexdigest()
BASE64 = b64encode(sha256(NONCE.encode()).digest()).decode()


@pytest.fixture(scope="module")
def app(caller: httpx.Client, double: SignInDouble) -> App:
    """One for all, which none of them changes."""
    return App(caller, double)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("sent", "in_token", "is_taken"),
    [
        (NONCE, NONCE, True),
        (NONCE, HASHED, True),
        (HASHED, HASHED, True),
        (NONCE, HASHED.upper(), False),
        (NONCE, BASE64, False),
        (HASHED, NONCE, False),
        (NONCE, "another", False),
        (NONCE, "", False),
        (NONCE, None, False),
        (NONCE, [NONCE], False),
        (NONCE, True, False),
        (None, NONCE, True),
        (None, None, True),
    ],
)
def test_nonces(
    app: App, provider: str, sent: str | None, in_token: object, is_taken: bool
) -> None:
    claims = {} if in_token is None else {"nonce": in_token}
    token = app.token(provider, **claims)
    body = {} if sent is None else {"nonce": sent}
    if is_taken:
        assert app.sign_in(provider, token, **body).status_code == 200
    else:
        assert app.refusal(provider, token, **body) == "nonce"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_where_one_is_required(app: App, provider: str) -> None:
    strict = App(app.api.client, app.double, require_nonce=True)
    assert strict.refusal(provider, strict.token(provider)) == "nonce"
    assert strict.refusal(provider, strict.token(provider, nonce=NONCE)) == "nonce"
    assert strict.refusal(provider, strict.token(provider), nonce=NONCE) == "nonce"
    token = strict.token(provider, nonce=HASHED)
    assert strict.sign_in(provider, token, nonce=NONCE).status_code == 200
