"""emulate's Apple as a process, and who signs in there."""

import html
import re
from pathlib import Path

import httpx

from tests.node import Node
from tests.processes import START_SECONDS, Process, eventually, free_port

PERSON = "ada@icloud.com"


class Emulate(Process):
    def __init__(self, node: Node, output: Path) -> None:
        port = free_port()
        self.url = f"http://localhost:{port}"
        main = node.folder / "node_modules" / "emulate" / "dist" / "index.js"
        seed = str(node.folder / "emulate.json")
        arguments = ["--service", "apple", "--port", str(port), "--seed", seed]
        super().__init__(["node", str(main), *arguments], node.env, output)
        eventually(lambda: self.popen.poll() is not None or self._answers(), START_SECONDS)
        assert self.popen.poll() is None, self.text()

    def sign_in(self, page: str) -> tuple[str, dict[str, str]]:
        """Where the browser posts to in the end, and what."""
        with httpx.Client() as browser:
            people = browser.get(page)
            assert people.status_code == 200, people.text
            forms = people.text.split("<form")[1:]
            (chosen,) = (form for form in forms if f'value="{PERSON}"' in form)
            reply = browser.post(f"{self.url}/auth/authorize/callback", data=_fields(chosen))
        assert reply.status_code == 200, reply.text
        action = re.search(r'action="([^"]+)"', reply.text)
        assert action is not None
        return html.unescape(action[1]), _fields(reply.text.partition("<form")[2])

    def renews(self, refresh_token: str) -> bool:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": "app"}
        return httpx.post(f"{self.url}/auth/token", data=form).status_code == 200

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/auth/keys").status_code == 200
        except httpx.TransportError:
            return False


def _fields(form: str) -> dict[str, str]:
    fields = re.findall(r'name="(\w+)" value="([^"]*)"', form)
    return {name: html.unescape(value) for name, value in fields}
