"""TLS with upstreams: how keys are agreed on, and that nothing is lost at its end."""

import asyncio
import gzip
import ssl
import subprocess
from pathlib import Path

import pytest

from server.timeouts import Timeouts
from server.upstream.client import Upstream
from server.upstream.names import Names
from server.upstream.tls import tls_context
from tests.certificate import OPENSSL, self_signed

CLASSIC = "DHE-RSA-AES128-GCM-SHA256"

needs_openssl = pytest.mark.skipif(
    not OPENSSL, reason="openssl is missing (Debian: apt-get install openssl)"
)


def offering(folder: Path, key_exchange: str) -> tuple[ssl.SSLContext, Path]:
    """A server that agrees on keys in no other way, and its certificate."""
    certificate, key = self_signed(folder, "DNS:localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if key_exchange == CLASSIC:
        parameters = folder / "dh.pem"
        command = f"{OPENSSL} genpkey -genparam -algorithm DH -pkeyopt group:modp_2048 -out"
        subprocess.run([*command.split(), str(parameters)], check=True)
        context.load_dh_params(str(parameters))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CLASSIC)
    else:
        context.set_ecdh_curve(key_exchange)
    return context, certificate


async def version_agreed_on(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """Raises OSError if they do not agree."""

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=server)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client, server_hostname="localhost"
        )
        found: str = writer.get_extra_info("ssl_object").version()
        writer.transport.abort()
        return found


@needs_openssl
@pytest.mark.parametrize("key_exchange", [CLASSIC, "ffdhe2048", "prime256v1"])
async def test_keys_are_agreed_on_by_curves_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key_exchange: str
) -> None:
    server, certificate = offering(tmp_path, key_exchange)
    usual = ssl.create_default_context(cafile=certificate)
    assert (await version_agreed_on(server, usual)).startswith("TLSv1.")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    if key_exchange == "prime256v1":
        assert await version_agreed_on(server, tls_context()) == "TLSv1.3"
        return
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await version_agreed_on(server, tls_context())


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
BODY = bytes(range(256)) * 400
"""More than is parsed at once, and it comes together with the end of the connection."""
PACKED = gzip.compress(b"".join(b"%x" % number for number in range(300_000)))
REPLIES = {
    "of a length": HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "until its end": HEAD + b"\r\n" + BODY,
    "in a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n19000\r\n" + BODY + b"\r\n0\r\n\r\n",
    "packed": HEAD + b"Content-Encoding: gzip\r\n\r\n" + PACKED,
}


@needs_openssl
@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize("name", REPLIES)
async def test_what_came_before_the_end_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_slow: bool
) -> None:
    server, certificate = offering(tmp_path, "prime256v1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(REPLIES[name])
        writer.close()

    client = Upstream(Names(), True, Timeouts())
    await client.start()
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server) as listener:
        port = listener.sockets[0].getsockname()[1]
        response = await client.post(f"https://localhost:{port}/", {}, b"")
        found = b""
        while part := await response.part():
            found += part
            await asyncio.sleep(0.01 * is_slow)
    assert found == (gzip.decompress(PACKED) if name == "packed" else BODY)
    assert client._responses == set()
    await client.close()
