"""Addresses among the settings."""

import pytest

from server.settings import Settings, SettingsError


def settings(**given: str) -> Settings:
    return Settings.from_environment(given)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/", "https://api.example.com"),
        ("https://example.com/vibe/", "https://example.com/vibe"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:3000/", "http://127.0.0.1:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("", ""),
    ],
)
def test_what_browsers_call_us(given: str, url: str) -> None:
    assert settings(PUBLIC_URL=given).public_url == url


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1", "http://localhost.example.com", "ftp://a.example", "https://a@b.c"]
)
def test_what_they_must_not(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^PUBLIC_URL: "):
        settings(PUBLIC_URL=url)


@pytest.mark.parametrize("name", ["GOOGLE_URL", "APPLE_URL", "TURNSTILE_URL"])
def test_secrets_go_over_http_in_tests_alone(name: str) -> None:
    url = "http://127.0.0.1:4000/issuer"
    found = settings(ALLOW_PRIVATE_UPSTREAMS="1", **{name: url})
    assert getattr(found, name.lower()) == url
    with pytest.raises(SettingsError, match=f"^{name}: "):
        settings(**{name: url})
