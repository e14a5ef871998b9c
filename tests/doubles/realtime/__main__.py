"""A provider of voice to try the gateway with, without an account: OpenAI's Realtime protocol.

Usage: python -m tests.doubles.realtime [--port 4300]
"""

from tests.doubles.listen import Listening, run
from tests.doubles.realtime.record import Script
from tests.doubles.realtime.server import Realtime
from tests.doubles.realtime.service import Service, Turn

TEXT = (
    "This is a double: it hears when you stop to speak, and says this, whatever you said. "
    "What it reports as used is what the gateway charges."
)


async def start(port: int) -> Listening:
    words = [word + " " for word in TEXT.split()]
    turn = Turn(pieces=[*words[:-1], words[-1].strip()], audio_ms=200, pause=0.1)
    return await Realtime(Script(Service(turns=(turn,)))).listen(port)


if __name__ == "__main__":
    run("tests.doubles.realtime", __doc__, 4300, start, "Listening on {url}")
