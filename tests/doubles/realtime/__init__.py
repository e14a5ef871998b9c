"""A provider of OpenAI's Realtime protocol that answers exactly as a test says.

    with RealtimeDouble() as double:             # or: python -m tests.doubles.realtime --port 4300
        double.script("gpt-x", Service(turns=(Turn(input_tokens=120, output_tokens=4),)))
        # ... open a session of the model "gpt-x" at f"{double.url}/v1/realtime", speak ...
        [session] = double.sessions("gpt-x")
        assert [response.used for response in session.responses] == [124]

The **key** is the model of the session's URL. `script(key, first, second)` says how the sessions of
a key go, each in turn, and all further ones as the last.

A **Service** says how a session opens, and has its **Turns**, one for each response, also the last
for all further ones; and its **Transcripts**, for each item of audio. See these classes.

Nobody scripts what is heard: silence is bytes without a signal, speech is any other, and the end
of a speech is its `silence_duration_ms`. `speech(seconds)` and `silence(seconds)` are such audio.
What a conversation costs is counted as OpenAI does, if a turn does not say otherwise: 10 tokens a
second heard, 20 a second spoken, a token for 4 characters, 2 for an item.

A **Session** has what the double was sent, and a **Response** for each that it began: what is used
by it (`used`), and how it went on. They go on changing: poll them with `eventually`.

While a session runs: `begin` has it respond unasked, `say` sends anything, `end` ends it as OpenAI
does (`ENDS`), `cut` resets it, `deafen` has it hear nothing more, `release` lets go what waits at a
`stop_at`.
"""

from tests.doubles.realtime.double import RealtimeDouble
from tests.doubles.realtime.hearing import silence, speech
from tests.doubles.realtime.record import Response, Session
from tests.doubles.realtime.service import ENDS, End, Service, Transcript, Turn

__all__ = [
    "ENDS",
    "End",
    "RealtimeDouble",
    "Response",
    "Service",
    "Session",
    "Transcript",
    "Turn",
    "silence",
    "speech",
]
