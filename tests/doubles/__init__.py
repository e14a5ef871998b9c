"""Doubles: providers of our own that answer exactly as a test says, and keep what they were asked.

    with Double() as double:                       # or: python -m tests.doubles --port 4000
        prompt = double.script("long", Answer(pieces=["a"] * 50, input_tokens=30, pause=0.01))
        # ... send a message that contains "#long", by any protocol, through the gateway ...
        [call] = double.calls("long")
        assert call.finished and call.used == 80

A double serves POST /v1/chat/completions, /v1/responses, /v1/messages and its count_tokens,
/v1/embeddings and /v1/moderations, and GET /v1/models at `double.url`, in a thread of its own: for
synchronous tests, SDKs and asyncio tests alike. Responses that are stored can be had and deleted by
their IDs. servers.py has doubles of other servers of OpenAI's protocol.

The **key** is in the last user message that has one, as `#<key>`, so it survives a translation
between the protocols. `script(key, first, second)` answers the calls of a key in turn, and all
further ones with the last. `release(key)` lets go what waits at a `stop_at`.

An **Answer** has text (`pieces`, or a `Filler` for megabytes), `tools`, exact usage, times and
faults. It is given in steps that are numbered alike in all protocols, and a request's limit cuts
it; see the class. Its `quirks` are how a server differs from what its protocol says: quirks.py has
those that were reported, a line each. `random_answer(seed)` makes an answer with a random ending,
`ENDINGS` names them.

A **Call** has the request and how far the answer came: `used` is what the provider would bill at
that moment, `finished`, `peer_gone` and `ended` how it went on; poll for them with `eventually`.

The doubles refuse what the providers refuse: a missing credential, `anthropic-version` or
`max_tokens`, both of OpenAI's limits at once, a response's limit below 16, empty texts, tool
results without their calls, reasoning that is not theirs, or stands alone.
"""

from tests.doubles.answer import Answer, Filler, Tool
from tests.doubles.call import Call
from tests.doubles.random_answer import ENDINGS, random_answer
from tests.doubles.thread import Double

__all__ = ["ENDINGS", "Answer", "Call", "Double", "Filler", "Tool", "random_answer"]
