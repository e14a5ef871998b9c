"""What a session may be set to: by its client, and as it reaches the provider.

A table: what is not in it may cost what nobody can bound, now or after the provider's next change.
"""

from typing import Any

from server.amounts import is_amount
from server.errors import Unsupported
from server.providers.reading import an_object
from server.voice import audio
from server.voice.context import tokens_of
from server.voice.opening import Event

_OF_BOTH = {
    *("audio", "instructions", "max_output_tokens", "output_modalities", "parallel_tool_calls"),
    *("prompt", "reasoning", "tool_choice", "tools"),
}
OF_SESSION = frozenset({*_OF_BOTH, "include", "model", "tracing", "truncation", "type"})
OF_RESPONSE = frozenset({*_OF_BOTH, "conversation", "input", "metadata"})
_OF_AUDIO = {
    "input": {"format", "noise_reduction", "transcription", "turn_detection"},
    "output": {"format", "speed", "voice"},
}
ENDLESS = "inf"


def check(session: Event, members: frozenset[str], path: str, is_unbounded: bool) -> None:
    """Of a session's members, or of a response's, which override them. Raises Unsupported."""
    for name in session:
        if name not in members:
            raise Unsupported(f"{path}.{name}", f"Unknown parameter: '{path}.{name}'")
    most = session.get("max_output_tokens")
    if most not in (None, ENDLESS) and not is_amount(most, 1):
        raise Unsupported(
            f"{path}.max_output_tokens", "max_output_tokens must be 1 or more, or inf"
        )
    if "audio" in session:
        _check_audio(session["audio"], f"{path}.audio", is_unbounded)
    if is_unbounded:
        return
    if session.get("prompt") is not None:
        raise Unsupported(f"{path}.prompt", "Prompts that the provider keeps are not available")
    tools = session.get("tools")
    if not isinstance(tools, list | None):
        raise Unsupported(f"{path}.tools", "tools must be a list")
    for number, tool in enumerate(tools or ()):
        if an_object(tool).get("type") != "function":
            raise Unsupported(f"{path}.tools.{number}", "Only tools of type function are available")


def _check_audio(given: Any, path: str, is_unbounded: bool) -> None:
    for side, members in _object(given, path).items():
        if side not in _OF_AUDIO:
            raise Unsupported(f"{path}.{side}", f"Unknown parameter: '{path}.{side}'")
        for name in _object(members, f"{path}.{side}"):
            if name not in _OF_AUDIO[side]:
                raise Unsupported(
                    f"{path}.{side}.{name}", f"Unknown parameter: '{path}.{side}.{name}'"
                )
    heard = an_object(given.get("input"))
    detection, place = heard.get("turn_detection"), f"{path}.input.turn_detection"
    if detection is not None:
        idle = _object(detection, place).get("idle_timeout_ms")
        if idle is not None and not is_unbounded:
            raise Unsupported(f"{place}.idle_timeout_ms", "idle_timeout_ms is not available")
    if heard.get("transcription") is not None:
        _object(heard["transcription"], f"{path}.input.transcription")


def _object(value: Any, path: str) -> Event:
    if not isinstance(value, dict):
        raise Unsupported(path, f"{path} must be an object")
    return value


class Config:
    """Of one session, as it is now: what the client wishes, and what the provider has."""

    def __init__(self, model: str, most_output: int) -> None:
        """`most_output`: the endpoint's limit of a response."""
        self.creates_responses = False
        """Whether the client wishes a response when somebody has stopped speaking."""
        self.transcript: int | None = None
        """Tokens of the prompt that each transcript begins with; None: there are none."""
        self.input_rate = self.output_rate = audio.bytes_a_second(None)
        self.speed = 1.0
        self.most_output = most_output
        """Of a response that says nothing itself; no more than the endpoint's."""
        self._model = model
        self._limit = most_output
        self._asked_rate = self.input_rate
        """What was asked for last counts, if it is the dearer one: the provider may tell late."""
        self._wished: Any = ENDLESS
        self._wishes_transcripts = False
        self._interrupts: Any = None

    @property
    def may_transcribe(self) -> bool:
        """The provider may, also if it has not told yet."""
        return self._wishes_transcripts or self.transcript is not None

    def outgoing(self, session: Event) -> Event:
        """A checked update as the provider gets it: no response that it begins by itself, and none
        longer than the endpoint's limit."""
        sent = {**session, "type": "realtime"}
        if "model" in sent:
            sent["model"] = self._model
        if "max_output_tokens" in sent:
            self._wished = sent["max_output_tokens"]
            sent["max_output_tokens"] = self.most_output = self.bound(self._wished)
        heard = an_object(an_object(session.get("audio")).get("input"))
        if "turn_detection" in heard:
            detection = heard["turn_detection"]
            self.creates_responses = False
            if detection is not None:
                self.creates_responses = detection.get("create_response") is not False
                detection = {**detection, "create_response": False}
            sent["audio"] = {
                **session["audio"],
                "input": {**heard, "turn_detection": detection},
            }
        if "transcription" in heard:
            self._wishes_transcripts = heard["transcription"] is not None
        if "format" in heard:
            self._asked_rate = audio.bytes_a_second(heard["format"])
            self.input_rate = min(self.input_rate, self._asked_rate)
        return sent

    def bound(self, wished: Any) -> int:
        """Output tokens of a response for which so many are wished, None and `inf` for any."""
        return min(wished, self._limit) if is_amount(wished, 1) else self._limit

    def confirm(self, session: Event) -> None:
        """What the provider says that the session is now."""
        sides = an_object(session.get("audio"))
        heard, spoken = an_object(sides.get("input")), an_object(sides.get("output"))
        if "format" in heard:
            self.input_rate = min(audio.bytes_a_second(heard["format"]), self._asked_rate)
        if "transcription" in heard:
            given = heard["transcription"]
            prompt = an_object(given).get("prompt")
            self.transcript = None if given is None else tokens_of(prompt) if prompt else 0
        if "format" in spoken:
            self.output_rate = audio.bytes_a_second(spoken["format"])
        speed = spoken.get("speed")
        if isinstance(speed, int | float) and 0 < speed < 100:
            self.speed = speed

    def shown(self, session: Event) -> Event:
        """The provider's session as its client set it: with its own limit and turn detection, and
        without the secret that some have in it, by which nobody would be metered."""
        told = {name: value for name, value in session.items() if name != "client_secret"}
        told["max_output_tokens"] = self._wished or ENDLESS
        sides = an_object(session.get("audio"))
        heard = an_object(sides.get("input"))
        detection = heard.get("turn_detection")
        if isinstance(detection, dict):
            own = {**detection, "create_response": self.creates_responses}
            told["audio"] = {**sides, "input": {**heard, "turn_detection": own}}
        return told


def first(created: Event, voice: str | None, given: Event) -> Event:
    """The update that a session begins with, before the client has a word: what the provider has
    by itself, that must be bounded; the endpoint's voice; what a client secret has `given`."""
    sides = an_object(created.get("audio"))
    detection = an_object(sides.get("input")).get("turn_detection")
    most = created.get("max_output_tokens")
    own: Event = {"max_output_tokens": most if is_amount(most, 1) else ENDLESS}
    if detection is not None:
        own["audio"] = {"input": {"turn_detection": _without_idling(detection)}}
    if voice is not None:
        own.setdefault("audio", {})["output"] = {"voice": voice}
    return _merged(own, given)


def _without_idling(detection: Any) -> Event:
    return {
        name: value for name, value in an_object(detection).items() if name != "idle_timeout_ms"
    }


def _merged(one: Event, other: Event) -> Event:
    merged = {**one, **other}
    for name in one.keys() & other.keys():
        if isinstance(one[name], dict) and isinstance(other[name], dict):
            merged[name] = (
                other[name] if name == "turn_detection" else _merged(one[name], other[name])
            )
    return merged
