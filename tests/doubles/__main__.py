"""A provider to try the gateway with, without an account: OpenAI's and Anthropic's protocol.

Usage: python -m tests.doubles [--port 4000]
"""

import argparse
import asyncio
import signal
import sys

from tests.doubles.answer import Answer
from tests.doubles.app import create_app
from tests.doubles.call import Script
from tests.doubles.listen import listen

TEXT = (
    "This is a double: it stands in for a provider and needs no account. It gives this answer to "
    "every prompt, a word at a time. What it reports as used is what the gateway charges. Ask "
    "until the balance is used up, and the next answer is 402."
)


async def serve(port: int) -> None:
    """Until SIGTERM or SIGINT. Raises OSError when the port is taken."""
    words = [word + " " for word in TEXT.split()]
    answer = Answer(pieces=[*words[:-1], words[-1].strip()], input_tokens=None, pause=0.02)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner, url = await listen(create_app(Script(answer)), port)
    print(f"Listening on {url}", flush=True)
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.doubles", description=__doc__)
    parser.add_argument("--port", type=int, default=4000)
    try:
        asyncio.run(serve(parser.parse_args().port))
    except OSError as error:
        sys.exit(f"Cannot listen: {error}")


if __name__ == "__main__":
    main()
