"""The oldest Redis that is supported, with TLS and an ACL user: Debian's redis-server 7."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api import ADMIN, Api
from tests.certificate import OPENSSL, self_signed
from tests.processes import ROOT, Process, Server, eventually, free_port

REDIS_SERVER = shutil.which("redis-server")

pytestmark = pytest.mark.skipif(
    not (REDIS_SERVER and OPENSSL),
    reason="redis-server and openssl are missing (Debian: apt-get install redis-server openssl)",
)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis with TLS only, whose one user may do what the README says and no more."""
    folder = tmp_path_factory.mktemp("redis7")
    certificate, key = self_signed(folder, "IP:127.0.0.1")
    port = free_port()
    (folder / "users.acl").write_text(
        f"user default off\nuser vibe on >secret~%word -@all {_permissions()}\n"
    )
    options = {
        "port": "0",
        "tls-port": str(port),
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-auth-clients": "no",
        "bind": "127.0.0.1",
        "dir": str(folder),
        "save": "",
        "aclfile": str(folder / "users.acl"),
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    with Process([str(REDIS_SERVER), *flags], {}, folder / "out") as process:
        eventually(lambda: "Ready to accept connections" in process.text(), 10)
        yield f"rediss://vibe:secret~%25word@127.0.0.1:{port}?ssl_ca_certs={certificate}"


def _permissions() -> str:
    """As the README has them."""
    sentence = (ROOT / "README.md").read_text().split("An ACL user needs", 1)[1].split(".\n", 1)[0]
    return " ".join(re.findall(r"\+[\w|]+|~[\w{}:]+\*", sentence))


def test_everything_works_on_redis_7_with_tls_and_an_acl_user(
    redis_url: str, tmp_path: Path
) -> None:
    with (
        Server(tmp_path / "out", REDIS_URL=redis_url, WORKERS="2") as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        api = Api.new_tenant(client)
        user = api.login()
        key = {"Idempotency-Key": "k"}
        assert user.charge(10, **key).json() == user.charge(10, **key).json() == {"tokensLeft": 90}
        held = api.post("/holds", {"tokens": 50}, user.headers).json()
        path = f"/holds/{held['holdId']}/settle"
        assert api.post(path, {"tokens": 20}, user.headers).json()["tokensLeft"] == 70
        assert user.charge(71).status_code == 402
        assert user.grant({"group": "paid"}).json()["tokensLeft"] == 5000
        assert len(api.get("/ledger", user.headers).json()["entries"]) == 5
        assert client.get("/tenants", headers=ADMIN).status_code == 200
        revoked = client.delete(f"/{api.tenant_id}/admin/keys/{user.api_key}", headers=ADMIN)
        assert revoked.status_code == 204
        assert client.delete(f"/tenants/{api.tenant_id}", headers=ADMIN).status_code == 204
        assert "secret" not in server.text()
