"""What Apple tells of accounts."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.login_providers.apple_events import AppleEvent
from server.login_providers.errors import InvalidNotification, LoginProviderFailed
from server.login_providers.login_providers import LoginProviders
from tests.doubles.sign_in import SignInDouble
from tests.login_providers.asking import Client, login_providers

CLIENT = Client()
AT_MS = 1_790_000_000_000


@pytest.fixture
async def providers(own: SignInDouble) -> AsyncIterator[LoginProviders]:
    async with login_providers(own) as providers:
        yield providers


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("client_id", ["web", "phone"])
@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("consent-revoked", "consent-revoked"),
        ("account-delete", "account-deleted"),
        ("account-deleted", "account-deleted"),
        ("email-enabled", "email-enabled"),
        ("email-disabled", "email-disabled"),
    ],
)
async def test_events(
    providers: LoginProviders,
    own: SignInDouble,
    as_text: bool,
    client_id: str,
    said: str,
    kind: Any,
) -> None:
    payload = own.apple.notification(client_id, said, "001.a", as_text, event_time=AT_MS)
    found = await providers.apple.read_notification(CLIENT, payload)
    assert found == AppleEvent(kind, "001.a", AT_MS)


async def test_times_in_seconds_and_kinds_that_are_new(
    providers: LoginProviders, own: SignInDouble
) -> None:
    payload = own.apple.notification("web", "consent-revoked", "001.a", event_time=AT_MS // 1000)
    found = await providers.apple.read_notification(CLIENT, payload)
    assert found is not None
    assert found.at_ms == AT_MS
    payload = own.apple.notification("web", "something-new", "001.a")
    assert await providers.apple.read_notification(CLIENT, payload) is None


async def test_one_that_does_not_expire(providers: LoginProviders, own: SignInDouble) -> None:
    events = {"type": "consent-revoked", "sub": "001.a", "event_time": AT_MS}
    payload = own.apple.token("exp", "sub", aud="web", events=events)
    assert await providers.apple.read_notification(CLIENT, payload) is not None


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "of-another-team"},
        {"iss": "https://appleid.apple.com.example"},
        {"exp": int(time.time()) - 100},
        {"events": None},
        {"events": "no JSON"},
        {"events": "[]"},
        {"events": []},
        {"events": "1" * 5_000},
        {"events": {"type": "consent-revoked"}},
        {"events": {"type": "consent-revoked", "sub": 5}},
        {"events": {"type": ["consent-revoked"], "sub": "001.a"}},
        {"events": {"type": "consent-revoked", "sub": "001.a", "event_time": "now"}},
    ],
)
async def test_what_is_not_apples_or_not_for_this_app(
    providers: LoginProviders, own: SignInDouble, claims: dict[str, Any]
) -> None:
    usual = {"aud": "web", "events": {"type": "consent-revoked", "sub": "001.a"}}
    payload = own.apple.token(**usual | claims)
    with pytest.raises(InvalidNotification):
        await providers.apple.read_notification(CLIENT, payload)


async def test_forged(providers: LoginProviders, own: SignInDouble) -> None:
    events = {"type": "account-delete", "sub": "001.a"}
    payloads = [
        own.apple.forged("stranger", {}, aud="web", events=events),
        own.apple.forged("nothing", {}, aud="web", events=events),
        own.google.token(aud="web", events=events),
        own.apple.token(aud="web"),  # an ID token, which has another purpose
        "a.b.c",
        "",
    ]
    for payload in payloads:
        with pytest.raises(InvalidNotification):
            await providers.apple.read_notification(CLIENT, payload)


async def test_without_keys_nothing_is_said_of_it(
    providers: LoginProviders, own: SignInDouble
) -> None:
    """Apple sends it again."""
    payload = own.apple.notification("web", "consent-revoked", "001.a")
    own.apple.fault("keys", status=500)
    with pytest.raises(LoginProviderFailed):
        await providers.apple.read_notification(CLIENT, payload)
