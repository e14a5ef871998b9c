"""Names whose DNS is silent, without a DNS: to look up *.silent.example takes for ever."""

import socket
import threading
from typing import Any


class SilentNames:
    """`getaddrinfo` is to be put in the place of the system's; `asked` are the silent names that
    were looked up. Those look-ups fail at `over`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.over = threading.Event()
        self._find = socket.getaddrinfo

    def getaddrinfo(self, host: str, *args: Any, **options: Any) -> Any:
        if not host.endswith(".silent.example"):
            return self._find(host, *args, **options)
        self.asked.append(host)
        self.over.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "later")
