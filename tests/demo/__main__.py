"""Runs the demo until it is stopped. Usage: python -m tests.demo"""

import signal
import sys
import tempfile
import threading
from pathlib import Path

from tests.demo.demo import Demo

SAYS = """
Open      {page}
Server    {server}, with {server}/docs
Tenant    {tenant}, of which the admin token is {admin_token}
Log       {log}

Try: ask until your free tokens are used up; sign in; buy more; talk. Open a second tab, and a
private window: whoever signs in with Google there is the same person. What you pay is no money, and
who answers is no model: doubles stand in for Google, Apple, Stripe, OpenAI, Anthropic and Ultravox.

The page is docs/example: change it, and load it again. Ctrl-C ends all of it.
"""


def main() -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix="vibe-demo-") as folder, Demo(Path(folder)) as demo:
        print(SAYS.format(**demo.told), flush=True)
        while not stop.wait(0.5):
            if demo.server.popen.poll() is not None:
                print(demo.server.text(), file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
