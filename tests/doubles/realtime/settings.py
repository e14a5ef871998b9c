"""A session's settings: the usual ones, and what an update makes of them."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any
from uuid import uuid4

Settings = dict[str, Any]

INSTRUCTIONS = "You are a double. Speak quickly, be brief, and do not refer to these rules."
MOST_OUTPUT = 4096
FLAT = {"modalities", "voice", "input_audio_format", "output_audio_format", "turn_detection"}
"""Members that the beta had."""
_PCM = {"type": "audio/pcm", "rate": 24000}
_COMMON = {"create_response": True, "interrupt_response": True}
_SERVER_VAD = {"threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200}
DETECTIONS: dict[str, Settings] = {
    "server_vad": {"type": "server_vad", **_SERVER_VAD, "idle_timeout_ms": None, **_COMMON},
    "semantic_vad": {"type": "semantic_vad", "eagerness": "auto", **_COMMON},
}


class Invalid(Exception):
    """An event that OpenAI refuses, with an `error` of this code."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


def usual(model: str, others: Mapping[str, Any]) -> Settings:
    session = {
        "type": "realtime",
        "object": "realtime.session",
        "id": f"sess_{uuid4().hex[:20]}",
        "model": model,
        "output_modalities": ["audio"],
        "instructions": INSTRUCTIONS,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": 1_800_000_000,
        "audio": {
            "input": {
                "format": _PCM,
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": DETECTIONS["server_vad"],
            },
            "output": {"format": _PCM, "voice": "alloy", "speed": 1.0},
        },
        "include": None,
    }
    return deepcopy({**session, **others})


def updated(session: Settings, changes: Settings, spoke: bool) -> Settings:
    """Raises Invalid."""
    if changes.get("type") not in ("realtime", "transcription"):
        raise Invalid("missing_required_parameter", "Missing 'session.type'.", "session.type")
    if unknown := set(changes) - set(session) - {"reasoning", "parallel_tool_calls"}:
        name = sorted(unknown)[0]
        raise Invalid("unknown_parameter", f"Unknown parameter: '{name}'.", f"session.{name}")
    if changes.get("model", session["model"]) != session["model"]:
        raise Invalid("session_model_immutable", "The model cannot be changed.", "session.model")
    check_limit(changes.get("max_output_tokens"))
    made = deepcopy({**session, **changes, "audio": session["audio"]})
    audio = changes.get("audio") or {}
    for side in ("input", "output"):
        made["audio"][side] |= audio.get(side) or {}
    if spoke and made["audio"]["output"]["voice"] != session["audio"]["output"]["voice"]:
        raise Invalid("cannot_update_voice", "The voice cannot be changed once it was heard.")
    detection = made["audio"]["input"]["turn_detection"]
    if detection is not None:
        usual = DETECTIONS[detection.get("type", "server_vad")]
        made["audio"]["input"]["turn_detection"] = {**usual, **detection}
    return made


def check_limit(limit: object) -> None:
    """Raises Invalid."""
    if limit is None or limit == "inf":
        return
    if type(limit) is not int or not 1 <= limit <= MOST_OUTPUT:
        raise Invalid("invalid_value", "Expected an integer from 1 to 4096, or 'inf'.")


def limit_of(session: Settings, response: Settings) -> int | None:
    limit = response.get("max_output_tokens") or session["max_output_tokens"]
    return None if limit == "inf" else int(limit)
