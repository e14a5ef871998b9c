"""Tags: by what the gateway's own events are known again, and the responses that it asked for."""

from random import getrandbits
from typing import Any

from server.providers.reading import an_object
from server.voice.opening import Event

MOST_PAIRS = 15
"""Of metadata that are the client's; one more is ours."""
_NAME = "vibe_response"


class Tags:
    """Of one session; each is an event's ID, too."""

    def __init__(self) -> None:
        self._prefix = f"vibe_{getrandbits(64):016x}_"
        self._count = 0

    def new(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count}"

    def are_of(self, event_id: Any) -> bool:
        """Is it the ID of an event that the client did not send?"""
        return isinstance(event_id, str) and event_id.startswith(self._prefix)


def tagged(members: Event, tag: str) -> Event:
    """Of a response that is asked for; the provider repeats its metadata."""
    return {**members, "metadata": {**an_object(members.get("metadata")), _NAME: tag}}


def tag_of(said: Event) -> str:
    """Of a response, '' for one that has none."""
    tag = an_object(said.get("metadata")).get(_NAME)
    return tag if isinstance(tag, str) else ""


def without_tag(event: Event) -> bool:
    """Takes it out of an event's response; False if there was none."""
    said = an_object(event.get("response"))
    metadata = said.get("metadata")
    if not isinstance(metadata, dict) or _NAME not in metadata:
        return False
    del metadata[_NAME]
    said["metadata"] = metadata or None
    return True
