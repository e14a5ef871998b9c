"""Google and Apple to sign in at, without an account.

Usage: python -m tests.doubles.sign_in [--port 4100]
"""

import argparse
import asyncio
import signal
import sys

from tests.doubles.listen import listen
from tests.doubles.sign_in.app import create_app


async def serve(port: int) -> None:
    """Until SIGTERM or SIGINT. Raises OSError when the port is taken."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner, url = await listen(create_app(), port)
    print(f"Listening: GOOGLE_URL={url}/google APPLE_URL={url}/apple", flush=True)
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.doubles.sign_in", description=__doc__)
    parser.add_argument("--port", type=int, default=4100)
    try:
        asyncio.run(serve(parser.parse_args().port))
    except OSError as error:
        sys.exit(f"Cannot listen: {error}")


if __name__ == "__main__":
    main()
