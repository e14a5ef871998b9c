"""Where a login may go back to."""

import pytest

from server.tenants.redirects import fault_of_redirect


@pytest.mark.parametrize(
    "address",
    [
        "https://app.example.com/signed-in",
        "https://app.example.com",
        "https://app.example.com:8443/a?b=c",
        "https://xn--bcher-kva.example/",
        "https://192.0.2.1/",
        "https://[2001:db8::1]/",
        "http://localhost/",
        "http://localhost:5173/in",
        "http://127.0.0.1:65535/",
        "http://[::1]:3000/",
        "com.example.app:/signed-in",
        "com.example.app://signed-in",
        "intent://in#Intent;scheme=app;package=com.example.app;end",
    ],
)
def test_good_ones(address: str) -> None:
    assert fault_of_redirect(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/signed-in",
        "app.example.com/in",
        "//app.example.com/in",
        "https:",
        "https://",
        "https:///in",
        "https:app.example.com",
        "https:/app.example.com",
        "HTTPS://app.example.com/",
        "https://App.example.com/",
        "https://app.example.com:/",
        "https://app.example.com:0/",
        "https://app.example.com:65536/",
        "https://app.example.com:x/",
        "https://app.example.com/#in",
        "https://app.example.com/#",
        "https://user@app.example.com/",
        "https://app.example.com@evil.example/",
        "https://app.example.com\\@evil.example/",
        "https://*.example.com/",
        "https://app.example.com/a b",
        "https://app.example.com/\n",
        "https://bücher.example/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "http://app.example.com/",
        "http://127.1/",
        "http://localhost.example.com/",
        "http://10.0.0.1/",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "blob:https://app.example.com/1",
        "about:blank",
        "myapp:/in",
        "myapp.:/in",
        "com.example.app://user@host/",
        "com.example.app:/in#x",
        "com.example.app",
        "intent://in",
        "intent://in#Intent;scheme=javascript",
        "intent://in#Intent;a;end#Intent;b;end",
    ],
)
def test_bad_ones(address: str) -> None:
    assert fault_of_redirect(address) is not None
