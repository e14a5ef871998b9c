"""Passes for Redis until a script about a user comes: that one is never answered."""

from socketserver import StreamRequestHandler, ThreadingTCPServer

import orjson

from tests.api import config

FEW = 8
"""Words of a command that is answered: what the start tries out."""


class Stalling(StreamRequestHandler):
    server: "StallingRedis"

    def handle(self) -> None:
        while line := self.rfile.readline():
            words = [self._read_word() for _ in range(int(line[1:]))]
            if words[0].startswith(b"EVAL") and len(words) > FEW and words[3].startswith(b"user:"):
                self.server.scripts.append(words)
            else:
                self.wfile.write(self._reply(words))

    def _read_word(self) -> bytes:
        size = int(self.rfile.readline()[1:])
        return self.rfile.read(size + 2)[:-2]

    @staticmethod
    def _reply(words: list[bytes]) -> bytes:
        if words[0].startswith(b"EVAL"):
            return b"*2\r\n:0\r\n*0\r\n"
        text = b"maxmemory_policy:noeviction"
        if words[0] == b"GET":
            text = orjson.dumps(config()) if words[1].startswith(b"tenant:") else b"a-user"
        return b"$%d\r\n%s\r\n" % (len(text), text)


class StallingRedis(ThreadingTCPServer):
    """`scripts`: the commands that were not answered."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Stalling)
        self.scripts: list[list[bytes]] = []
