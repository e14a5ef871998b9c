"""The double refuses what Google and Apple refuse: what it lets pass, they let pass."""

import httpx
import pytest

from tests.doubles.sign_in import SignInDouble
from tests.login_providers.pages import apple_form, google_code


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "unknown"},
        {"response_type": "token"},
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
        {"nonce": ""},
        {"state": ""},
        {"scope": "email"},
    ],
)
def test_googles_page_wants_a_whole_request(own: SignInDouble, wrong: dict[str, str]) -> None:
    own.google.client("web", secret="secret")
    assert {"code", "state", "iss"} == set(google_code(own.google.url))
    with pytest.raises(AssertionError):
        google_code(own.google.url, **wrong)


@pytest.mark.parametrize(
    "wrong", [{"client_id": "unknown"}, {"response_type": "id_token"}, {"response_mode": "query"}]
)
def test_apples_page_wants_a_whole_request(own: SignInDouble, wrong: dict[str, str]) -> None:
    own.apple.client("web", secret="secret")
    assert {"code", "state"} == set(apple_form(own.apple.url)[1])
    with pytest.raises(AssertionError):
        apple_form(own.apple.url, **wrong)


def test_who_does_not_agree(own: SignInDouble) -> None:
    for operator in (own.google, own.apple):
        operator.client("web", secret="secret")
        operator.do("person", denies=True)
    assert google_code(own.google.url)["error"] == "access_denied"
    assert apple_form(own.apple.url)[1] == {"state": "s", "error": "user_cancelled_authorize"}


def test_what_a_page_is_given_is_no_markup(own: SignInDouble) -> None:
    own.apple.client("web", secret="secret")
    state = '"><script>alert(1)</script>&amp;'
    assert apple_form(own.apple.url, state=state)[1]["state"] == state


@pytest.mark.parametrize(
    "form",
    [
        {"client_secret": "wrong"},
        {"client_id": "unknown"},
        {"grant_type": "client_credentials"},
        {"code": "unknown"},
    ],
)
def test_codes_are_not_for_everybody(own: SignInDouble, form: dict[str, str]) -> None:
    for operator, path in ((own.google, "/token"), (own.apple, "/auth/token")):
        operator.client("web", secret="secret")
        usual = {"grant_type": "authorization_code", "client_id": "web", "client_secret": "secret"}
        code = operator.code("web")
        reply = httpx.post(operator.url + path, data={**usual, "code": code, **form}, verify=False)
        assert reply.status_code == 400
        reply = httpx.post(operator.url + path, data={**usual, "code": code}, verify=False)
        assert reply.status_code == 200
