"""nanoidp, an issuer of OpenID Connect, as a process; and who signs in there."""

import re
from collections.abc import Sequence
from pathlib import Path

import httpx
import yaml

from tests.own_python import environment
from tests.processes import START_SECONDS, Process, eventually, free_port

CLIENT = {"client_id": "app", "client_secret": "secret"}
_LOCK = Path(__file__).parent / "nanoidp.txt"


class Nanoidp(Process):
    """`folder` is for its config, its keys and its output."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """`names` are those of its users, who have them as passwords, too."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        # As Google wants it: in the form, and not in a header.
        client = {**CLIENT, "token_endpoint_auth_method": "client_secret_post"}
        settings = {
            "config_version": 1,
            "server": {"host": "127.0.0.1", "port": port},
            "oauth": {"issuer": self.url, "audience": "none", "clients": [client]},
            "jwt": {"keys_dir": str(folder / "keys")},
        }
        people = {name: {"password": name, "email": f"{name}@example.com"} for name in names}
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
        (folder / "users.yaml").write_text(yaml.safe_dump({"config_version": 1, "users": people}))
        command = [str(environment(_LOCK) / "nanoidp"), "--config", str(folder), "--strict-config"]
        super().__init__(command, {"HOME": str(folder)}, folder / "out")
        eventually(lambda: self.popen.poll() is not None or self._answers(), START_SECONDS)
        assert self.popen.poll() is None, self.text()

    def rotate_keys(self) -> None:
        reply = httpx.post(f"{self.url}/api/keys/rotate")
        assert reply.status_code == 200, reply.text

    def sign_in(self, page: str, name: str) -> dict[str, str]:
        """What the browser brings back from this page of nanoidp's, to whom it is sent."""
        with httpx.Client() as browser:
            form = browser.get(page)
            assert form.status_code == 200, form.text
            found = re.search(r'name="transaction_id" value="([^"]+)"', form.text)
            assert found is not None
            fields = {"transaction_id": found[1], "username": name, "password": name}
            reply = browser.post(page, data=fields)
        assert reply.status_code == 302, reply.text
        return dict(httpx.URL(reply.headers["location"]).params)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/health").status_code == 200
        except httpx.TransportError:
            return False
