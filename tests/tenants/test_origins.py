"""`allowed_origins` takes what a browser can send, and refuses what can never match."""

import json

import httpx
import pytest

from server.store import keys
from tests.api import ADMIN, Api, config
from tests.processes import Server, Valkey
from tests.raw import connect

GOOD = [
    "https://app.example.com",
    "http://localhost:5173",
    "https://app.example:8443",
    "http://127.0.0.1:3000",
    "http://[::1]:8080",
    "https://[2001:db8::1]",
    "https://xn--mnchen-3ya.example",
    "https://under_score.example",
    "https://example.com.",
    "http://app.example:443",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    "moz-extension://1f2e3d4c-0000-4000-8000-123456789abc",
    "capacitor://localhost",
    "tauri://localhost",
    "safari-web-extension://1F2E3D4C-0000-4000-8000-123456789ABC",
    "app://.",
    "app://My%20App",
    "vscode-webview://0a1b2c",
    "file://",
    "null",
]
BAD = [
    ("https://app.example.com/", "slash"),
    ("http://localhost:5173/", "slash"),
    ("https://app.example.com//", "path"),
    ("https://app.example.com/app", "path"),
    ("https://app.example.com?x=1", "path"),
    ("https://app.example.com#top", "path"),
    ("https://app.example.com\\", "path"),
    ("app.example.com", "scheme"),
    ("localhost:5173", "scheme"),
    ("//app.example.com", "scheme"),
    ("https:app.example.com", "scheme"),
    ("https:/app.example.com", "scheme"),
    ("1https://app.example.com", "scheme"),
    ("://app.example.com", "scheme"),
    ("NULL", "scheme"),
    ("HTTPS://App.Example.com", "capitals"),
    ("https://App.example.com", "capitals"),
    ("App://localhost", "capitals"),
    ("app://", "host"),
    ("app://./", "slash"),
    ("http://[2001:DB8::1]", "capitals"),
    ("*", "any may call"),
    ("https://*.example.com", "wildcard"),
    ("https://*", "wildcard"),
    ("http://localhost:*", "wildcard"),
    ("https://app.example.com:443", "default port"),
    ("http://localhost:80", "default port"),
    ("https://app.example.com:", "port"),
    ("https://app.example.com:0", "port"),
    ("https://app.example.com:08443", "port"),
    ("https://app.example.com:65536", "port"),
    ("https://app.example.com:https", "port"),
    ("https://user@app.example.com", "user"),
    ("https://user:word@app.example.com", "user"),
    ("https://", "host"),
    ("https://:8443", "host"),
    ("https://app..example.com", "host"),
    ("https://.example.com", "host"),
    ("https://app.example.com,https://b.example", "path"),
    ("https://a,b", "host"),
    ("https://%61pp.example.com", "host"),
    ("https://127.1", "host"),
    ("http://0x7f000001", "host"),
    ("http://010.0.0.1", "host"),
    ("http://[::0001]", "host"),
    ("http://[::1", "port"),
    ("http://[::1]x", "host"),
    ("http://[fe80::1%eth0]", "host"),
    ("http://::1", "port"),
    (f"https://{'a' * 64}.example", "host"),
    ("https://münchen.example", "xn--"),
    ("https://app.example.com ", "spaces"),
    (" https://app.example.com", "spaces"),
    ("", "ASCII"),
    ("wss://app.example.com", "scheme wss"),
    ("data://x", "scheme data"),
    ("https://" + "a." * 150 + "example", "300"),
]


@pytest.mark.parametrize("origin", GOOD)
def test_a_page_of_a_listed_origin_may_call_and_log_in(client: httpx.Client, origin: str) -> None:
    api = Api.new_tenant(client, config() | {"allowed_origins": ["https://a.example", origin]})
    reply = api.post("/auth/anonymous", None, {"Origin": origin})
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize(("origin", "why"), BAD)
def test_what_no_browser_sends_is_refused_with_the_reason(api: Api, origin: str, why: str) -> None:
    before = api.get("/admin/config", ADMIN).json()
    reply = api.put_config(config() | {"allowed_origins": ["https://a.example", origin]})
    assert reply.status_code == 422
    [fault] = reply.json()["details"]
    assert fault["path"] == "allowed_origins.1"
    assert why in fault["message"], fault
    assert api.get("/admin/config", ADMIN).json() == before


def test_each_origin_that_is_wrong_is_named(api: Api) -> None:
    listed = ["*", "https://a.example", "b.example"]
    reply = api.put_config(config() | {"allowed_origins": listed})
    paths = [fault["path"] for fault in reply.json()["details"]]
    assert (reply.status_code, paths) == (422, ["allowed_origins.0", "allowed_origins.2"])


def test_what_is_stored_from_before_is_served(api: Api, valkey: Valkey) -> None:
    """The rule is newer than some configs, and a tenant must not be lost to an upgrade."""
    key = keys.config(api.tenant_id)
    text = valkey.client.get(key)
    assert isinstance(text, str)
    old = '"allowed_origins":["https://app.example.com/","https://app.example.com"],"auth"'
    valkey.client.set(key, text.replace('"auth"', old, 1))
    reply = api.post("/auth/anonymous", None, {"Origin": "https://app.example.com"})
    assert reply.status_code == 200


@pytest.mark.parametrize("origin", ["https://é.example", "https://例え.example"])
@pytest.mark.parametrize("path", ["auth/anonymous", "charges"])
def test_one_that_is_stored_from_before_is_told_as_it_was_sent(
    api: Api, valkey: Valkey, server: Server, origin: str, path: str
) -> None:
    """No browser sends it so, but anybody else may."""
    old = config() | {"allowed_origins": [origin]}
    valkey.client.set(keys.config(api.tenant_id), json.dumps(old))
    head = f"POST /{api.tenant_id}/{path} HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\n"
    head += "Content-Length: 0\r\nConnection: close\r\n\r\n"
    with connect(server.url) as connection:
        connection.sendall(head.encode())
        received = b""
        while portion := connection.recv(65536):
            received += portion
    assert f"\r\naccess-control-allow-origin: {origin}\r\n".encode() in received
    assert received.startswith(b"HTTP/1.1 401" if path == "charges" else b"HTTP/1.1 200")
