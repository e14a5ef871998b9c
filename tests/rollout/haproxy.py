"""HAProxy in front of servers, following their readiness as a Service's endpoints do."""

import csv
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.processes import Process, eventually, free_port

PROGRAM = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
DETECTION_SECONDS = 1.5
"""Until a server that is not ready any more gets no new requests: two checks, and some time."""

# Nothing may hide a loss: no second attempt (`retries`) and no other server (`redispatch`); a
# request on a kept connection that the server closes is then lost, and the client hears of it.
_CONFIG = """
global
  stats socket {folder}/stats mode 600
defaults
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  retries 0
  no option redispatch
  balance roundrobin
  option httpchk GET /readyz
  http-check expect status 200
  default-server check inter 500ms fall 2 rise 1
frontend requests
  mode http
  bind 127.0.0.1:{requests}
  default_backend requests
backend requests
  mode http
{servers}
frontend connections
  mode tcp
  bind 127.0.0.1:{connections}
  default_backend connections
backend connections
  mode tcp
{servers}
"""


class HAProxy(Process):
    """Spreads over the servers on these ports, named by their place: s0, s1...

    `requests_url` spreads each request, over kept connections to the servers, as an ingress does;
    `connections_url` each connection, which then stays where it is, as a Service does.
    """

    def __init__(self, folder: Path, ports: Sequence[int]) -> None:
        assert PROGRAM is not None
        self._stats = folder / "stats"
        self._count = len(ports)
        requests, connections = free_port(), free_port()
        self.requests_url = f"http://127.0.0.1:{requests}"
        self.connections_url = f"http://127.0.0.1:{connections}"
        servers = [f"  server s{number} 127.0.0.1:{port}" for number, port in enumerate(ports)]
        config = folder / "haproxy.cfg"
        config.write_text(
            _CONFIG.format(
                folder=folder,
                requests=requests,
                connections=connections,
                servers="\n".join(servers),
            )
        )
        super().__init__([PROGRAM, "-db", "-f", str(config)], {}, folder / "haproxy.out")
        try:
            eventually(lambda: all(self.is_used(number) for number in range(self._count)))
        except BaseException:
            self.stop()
            raise

    def is_used(self, number: int) -> bool:
        """Both ways lead to this server."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(self._stats))
                connection.sendall(b"show stat\n")
                with connection.makefile() as reply:
                    rows = list(csv.DictReader(reply))
        except OSError:
            return False
        return {row["status"] for row in rows if row["svname"] == f"s{number}"} == {"UP"}
