"""Python imports this by itself when PYTHONPATH leads here: then *.silent.example has a DNS that
never answers."""

import socket

from tests.silent_names import SilentNames

socket.getaddrinfo = SilentNames().getaddrinfo  # type: ignore[assignment]
