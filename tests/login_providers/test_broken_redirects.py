"""What another program has stored in place of a sign-in by redirect: 503, whatever it is."""

from typing import Any

import orjson
import pytest

from server.store import keys
from tests.hurried import Hurried
from tests.login_providers.signing import App
from tests.login_providers.trip import Trip
from tests.processes import Valkey

_REDIRECTS: dict[str, Any] = {
    "redirect_uri": 5,
    "provider": "other",
    "app_state": ["x"],
    "nonce": None,
    "code_verifier": {},
}
_CODES: dict[str, Any] = {
    "challenge": 0.5,
    "identity": [],
    "identity.provider": [],
    "identity.subject": True,
    "identity.email": {"a": 1},
    "identity.client_id": None,
}


def change(valkey: Valkey, key: str, path: str, value: Any) -> None:
    """Of what is stored there."""
    stored = orjson.loads(valkey.client.get(key) or b"")
    *outer, name = path.split(".")
    inner = stored[outer[0]] if outer else stored
    inner[name] = value
    valkey.client.set(key, orjson.dumps(stored))


@pytest.mark.parametrize(("path", "value"), _REDIRECTS.items(), ids=_REDIRECTS)
def test_a_sign_in_that_is_broken(
    site: App, valkey: Valkey, signing: Hurried, path: str, value: Any
) -> None:
    trip = Trip(site.api)
    given = trip.agree()
    change(valkey, keys.redirect(site.api.tenant_id, given["state"]), path, value)
    assert trip.come_back(given).status_code == 503
    assert "Traceback" not in signing.text()


@pytest.mark.parametrize(("path", "value"), _CODES.items(), ids=_CODES)
def test_a_code_that_is_broken(
    site: App, valkey: Valkey, signing: Hurried, path: str, value: Any
) -> None:
    trip = Trip(site.api)
    code = trip.code()
    change(valkey, keys.redirect_code(site.api.tenant_id, code), path, value)
    body = {"code": code, "codeVerifier": trip.verifier}
    assert site.api.post("/auth/exchange", body).status_code == 503
    assert "Traceback" not in signing.text()


def test_a_challenge_of_other_letters_is_another_one(site: App, valkey: Valkey) -> None:
    trip = Trip(site.api)
    code = trip.code()
    change(valkey, keys.redirect_code(site.api.tenant_id, code), "challenge", "é" * 43)
    body = {"code": code, "codeVerifier": trip.verifier}
    assert site.api.post("/auth/exchange", body).status_code == 400
