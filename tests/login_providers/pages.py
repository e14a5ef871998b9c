"""What a browser does at a login provider's page."""

import hashlib
import html
import re
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.doubles.sign_in.tokens import encode

REDIRECT_URI = "https://app.example/callback"
VERIFIER = "v" * 43
CHALLENGE = encode(hashlib.sha256(VERIFIER.encode()).digest())


def google_code(url: str, **query: str) -> dict[str, str]:
    """What Google sends back to the app with, after the person has agreed."""
    usual = {
        "client_id": "web",
        "redirect_uri": REDIRECT_URI,
        "response_type": "code",
        "scope": "openid email",
        "state": "s",
        "nonce": "n",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    reply = httpx.get(f"{url}/authorize", params=usual | query, verify=False)
    assert reply.status_code == 302, reply.text
    return dict(parse_qsl(urlsplit(reply.headers["location"]).query))


def apple_form(url: str, **query: str) -> tuple[str, dict[str, str]]:
    """Where Apple's page posts to, and what."""
    usual = {
        "client_id": "web",
        "redirect_uri": REDIRECT_URI,
        "response_type": "code",
        "response_mode": "form_post",
        "scope": "name email",
        "state": "s",
        "nonce": "n",
    }
    reply = httpx.get(f"{url}/auth/authorize", params=usual | query, verify=False)
    assert reply.status_code == 200, reply.text
    fields = re.findall(r'name="(\w+)" value="([^"]*)"', reply.text)
    action = re.findall(r'action="([^"]+)"', reply.text)[0]
    return html.unescape(action), {name: html.unescape(value) for name, value in fields}
