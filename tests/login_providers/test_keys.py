"""The keys of login providers: kept, renewed, and never lost to a provider's bad day."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from server.login_providers.errors import (
    InvalidIdToken,
    LoginProviderFailed,
    LoginProviderTimeout,
)
from server.login_providers.login_providers import LoginProviders
from server.login_providers.published import LEAST_SECONDS, MOST_SECONDS, PAUSE_SECONDS
from tests.doubles.sign_in import SignInDouble
from tests.doubles.sign_in.tokens import STRANGER, jwk
from tests.login_providers.asking import Client, Clock, login_providers

CLIENT = Client()


@pytest.fixture
async def providers(own: SignInDouble) -> AsyncIterator[LoginProviders]:
    async with login_providers(own) as providers:
        yield providers


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Signer:
    """Of one provider; `verdict` on one of its tokens."""

    def __init__(self, providers: LoginProviders, double: SignInDouble, provider: str) -> None:
        self.provider = getattr(providers, provider)
        self.at = getattr(double, provider)

    def token(self, by: str = "newest", **header: object) -> str:
        return str(self.at.forged(by, header, aud="web"))

    async def verdict(self, token: str | None = None) -> str:
        """`taken`, or why it is not."""
        try:
            await self.provider.verify(CLIENT, token or self.token(), None)
        except InvalidIdToken as refusal:
            return refusal.reason
        except LoginProviderFailed as refusal:
            return str(refusal.status)
        return "taken"

    async def verdicts(self, *tokens: str) -> list[str]:
        return [await self.verdict(token) for token in tokens]


@pytest.fixture(params=["google", "apple"])
def signer(providers: LoginProviders, own: SignInDouble, request: pytest.FixtureRequest) -> Signer:
    return Signer(providers, own, request.param)


async def test_keys_are_fetched_once_for_all_who_wait(signer: Signer) -> None:
    signer.at.fault("keys", delay=0.1)
    tokens = [signer.token() for _ in range(5)]
    found = await asyncio.gather(*(signer.verdict(tokens[number % 5]) for number in range(50)))
    assert set(found) == {"taken"}
    assert signer.at.asked("keys") == 1


async def test_who_leaves_takes_the_keys_from_nobody(signer: Signer) -> None:
    signer.at.fault("keys", delay=0.1)
    token = signer.token()
    first = asyncio.create_task(signer.verdict(token))
    second = asyncio.create_task(signer.verdict(token))
    await asyncio.sleep(0.03)
    first.cancel()
    assert await second == "taken"
    assert signer.at.asked("keys") == 1


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("public, max-age=19000, must-revalidate", 19_000),
        ("max-age=1", LEAST_SECONDS),
        ("max-age=0", LEAST_SECONDS),
        ("no-store", LEAST_SECONDS),
        ("s-maxage=19000", LEAST_SECONDS),
        ("max-age=99999999", MOST_SECONDS),
        ("max-age=" + "9" * 400, LEAST_SECONDS),
    ],
)
async def test_keys_are_kept_as_long_as_they_may_be(
    signer: Signer, clock: Clock, said: str, seconds: int
) -> None:
    signer.at.fault("keys", cache_control=said)
    assert await signer.verdict() == "taken"
    clock.advance(seconds - 10)
    assert await signer.verdict() == "taken"
    assert signer.at.asked("keys") == 1
    clock.advance(20)
    assert await signer.verdict() == "taken"
    assert signer.at.asked("keys") == 2


async def test_a_new_key_works_at_once_and_a_withdrawn_one_until_the_next_fetch(
    signer: Signer, clock: Clock
) -> None:
    old = signer.token()
    assert await signer.verdict(old) == "taken"
    signer.at.keys("rotate")
    assert await signer.verdicts(signer.token(), old) == ["taken", "taken"]
    assert signer.at.asked("keys") == 2
    signer.at.keys("withdraw")
    clock.advance(MOST_SECONDS)
    assert await signer.verdicts(signer.token(), old) == ["taken", "signature"]
    assert signer.at.asked("keys") == 4, "one that is due, and one for the key that is missed"


async def test_another_key_of_the_same_name_works_from_the_next_fetch_on(
    signer: Signer, clock: Clock
) -> None:
    old = signer.token()
    assert await signer.verdict(old) == "taken"
    signer.at.keys("replace")
    new = signer.token()
    assert await signer.verdict(new) == "signature"
    clock.advance(MOST_SECONDS)
    assert await signer.verdicts(new, old) == ["taken", "signature"]
    assert signer.at.asked("keys") == 2


async def test_unknown_keys_have_them_fetched_once_a_minute(signer: Signer, clock: Clock) -> None:
    assert await signer.verdict() == "taken"
    tokens = [signer.token("stranger", kid=f"k-{number}") for number in range(20)]
    assert set(await asyncio.gather(*map(signer.verdict, tokens))) == {"signature"}
    assert set(await signer.verdicts(*tokens)) == {"signature"}
    assert signer.at.asked("keys") == 2
    clock.advance(PAUSE_SECONDS - 5)
    assert await signer.verdict(tokens[0]) == "signature"
    assert signer.at.asked("keys") == 2
    clock.advance(10)
    assert await signer.verdict(tokens[0]) == "signature"
    assert signer.at.asked("keys") == 3


async def test_without_a_name_only_the_only_key_is_taken(signer: Signer) -> None:
    nameless = signer.token(kid=None)
    assert await signer.verdict(nameless) == "taken"
    signer.at.keys("rotate")
    assert await signer.verdict() == "taken"
    asked = signer.at.asked("keys")
    for by in ("newest", "old"):
        assert await signer.verdict(signer.token(by, kid=None)) == "signature"
    assert signer.at.asked("keys") == asked, "another set would have as many"


async def test_junk_among_the_keys_is_left_out(signer: Signer, clock: Clock) -> None:
    signer.at.keys("junk")
    assert await signer.verdict() == "taken"
    for junk in ("oct", "ec-broken", "rsa-tiny", "rsa-broken", "no-rsa", "to-encrypt", "rs512"):
        clock.advance(PAUSE_SECONDS + 1)
        assert await signer.verdict(signer.token("stranger", kid=junk)) == "signature"


BAD_DAYS: dict[str, dict[str, object]] = {
    "500": {"status": 500, "body": "{}"},
    "500 with keys": {"status": 500, "body": json.dumps({"keys": [jwk(STRANGER, "new")]})},
    "HTML": {"status": 200, "body": "<!doctype html><title>Sorry</title>"},
    "nothing": {"status": 200, "body": ""},
    "no keys": {"status": 200, "body": '{"keys": []}'},
    "keys that are none": {"status": 200, "body": '{"keys": {"a": 1}}'},
    "a list": {"status": 200, "body": "[]"},
    "a redirect": {"status": 302},
    "megabytes": {"status": 200, "body": "[" + "1," * 40_000 + "1]"},
    "a key that is another's": {"status": 200, "body": '{"keys": [{"kty": "oct", "k": "AA"}]}'},
}


@pytest.mark.parametrize("day", BAD_DAYS)
async def test_a_bad_day_leaves_the_keys_of_before_for_24_hours(
    signer: Signer, clock: Clock, day: str
) -> None:
    token = signer.token()
    assert await signer.verdict(token) == "taken"
    signer.at.fault("keys", **BAD_DAYS[day])
    clock.advance(20_000)
    assert await signer.verdicts(token, token) == ["taken", "taken"]
    assert signer.at.asked("keys") == 2, "and it is not asked again at once"
    assert await signer.verdict(signer.token("stranger", kid="new")) == "signature"
    assert signer.at.asked("keys") == 3
    clock.advance(MOST_SECONDS - 20_000 - 30)
    assert await signer.verdict(token) == "taken"
    clock.advance(40)
    assert await signer.verdict(token) == "502"
    signer.at.fault("keys")
    assert await signer.verdict(token) == "taken"


async def test_a_slow_provider_holds_up_one_sign_in_and_ends_none_that_has_keys(
    own: SignInDouble, clock: Clock
) -> None:
    async with login_providers(own, 0.6) as providers:
        signer = Signer(providers, own, "apple")
        token = signer.token()
        assert await signer.verdict(token) == "taken"
        signer.at.fault("keys", delay=30)
        clock.advance(20_000)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        assert await signer.verdicts(token, token, token) == ["taken"] * 3
        assert loop.time() - begin < 0.6
        clock.advance(MOST_SECONDS)
        assert await signer.verdict(token) == "504"


async def test_an_answer_that_begins_and_goes_no_further(own: SignInDouble) -> None:
    async with login_providers(own, 0.6) as providers:
        own.apple.fault("keys", stall=30)
        assert await Signer(providers, own, "apple").verdict() == "504"


async def test_a_provider_that_cannot_be_asked_at_first(signer: Signer) -> None:
    signer.at.fault("keys", status=503)
    token = signer.token()
    assert await signer.verdict(token) == "502"
    signer.at.fault("keys")
    assert await signer.verdict(token) == "taken"


async def test_what_is_no_token_asks_nobody(signer: Signer) -> None:
    wrong = [signer.token("secret", alg="HS256"), signer.token("nothing"), "a.b.c"]
    wrong.append(signer.token(jku=f"{signer.at.url}/keys"))
    assert set(await signer.verdicts(*wrong)) == {"signature", "malformed"}
    assert signer.at.asked("keys") == 0


DISCOVERY = '{"issuer": "%s", "authorization_endpoint": "%s", "token_endpoint": "%s", '
DISCOVERY += '"jwks_uri": "%s"}'


@pytest.mark.parametrize(
    "names",
    [
        ("https://other.example", "{0}/authorize", "{0}/token", "{0}/keys"),
        ("{0}", "{0}/authorize", "{0}/token", "file:///etc/passwd"),
        ("{0}", "{0}/authorize", "gopher://127.0.0.1/token", "{0}/keys"),
        ("{0}", "javascript:alert(1)", "{0}/token", "{0}/keys"),
        ("{0}", "{0}/authorize", "http://user:password@127.0.0.1/token", "{0}/keys"),
    ],
)
async def test_a_discovery_document_that_is_not_the_issuers(
    own: SignInDouble, providers: LoginProviders, names: tuple[str, ...]
) -> None:
    signer = Signer(providers, own, "google")
    body = DISCOVERY % tuple(name.format(own.google.url) for name in names)
    own.google.fault("discovery", status=200, body=body)
    assert await signer.verdict() == "502"
    assert own.google.asked("keys") == 0
    own.google.fault("discovery")
    assert await signer.verdict() == "taken"
    assert (own.google.asked("discovery"), own.google.asked("keys")) == (2, 1)


async def test_googles_own_name_without_https_is_taken_from_google_alone(
    own: SignInDouble, providers: LoginProviders
) -> None:
    for issuer in ("accounts.google.com", "https://accounts.google.com"):
        token = own.google.token(aud="web", iss=issuer)
        assert await Signer(providers, own, "google").verdict(token) == "issuer"


async def test_a_sign_in_has_an_end(own: SignInDouble) -> None:
    async with login_providers(own, 0.2) as providers:
        with pytest.raises(LoginProviderTimeout):
            async with providers.in_time():
                await asyncio.sleep(30)
