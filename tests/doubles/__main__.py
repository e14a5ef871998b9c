"""A provider to try the gateway with, without an account: OpenAI's and Anthropic's protocol.

Usage: python -m tests.doubles [--port 4000]
"""

from tests.doubles.answer import Answer
from tests.doubles.app import create_app
from tests.doubles.call import Script
from tests.doubles.listen import Listening, listen, run

TEXT = (
    "This is a double: it stands in for a provider and needs no account. It gives this answer to "
    "every prompt, a word at a time. What it reports as used is what the gateway charges. Ask "
    "until the balance is used up, and the next answer is 402."
)


async def start(port: int) -> Listening:
    words = [word + " " for word in TEXT.split()]
    answer = Answer(pieces=[*words[:-1], words[-1].strip()], input_tokens=None, pause=0.02)
    return await listen(create_app(Script(answer)), port)


if __name__ == "__main__":
    run("tests.doubles", __doc__, 4000, start, "Listening on {url}")
