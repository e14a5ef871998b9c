"""What a double was sent, and how far it came: written by its thread, for any to read."""

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.realtime.service import Service


@dataclass
class Response:
    response_id: str
    asked: dict[str, Any] | None
    """The event that asked for it; None: the speech, or nobody."""
    limit: int | None
    """Of its output, by its event or the session; None: there is none."""
    input: int = 0
    output: int = 0
    """Generated up to now."""
    steps: int = 0
    status: str = "in_progress"
    """As in response.done, when that has been sent."""

    @property
    def used(self) -> int:
        """What the provider bills, if it ends now."""
        return self.input + self.output


@dataclass
class Session:
    key: str
    path: str
    headers: dict[str, str]
    """Their names in lower case."""
    subprotocols: list[str]
    """That were offered."""
    texts: list[str] = field(default_factory=list)
    """All messages as they came, but those that append audio."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """The same, parsed."""
    appends: int = 0
    audio_bytes: int = 0
    """Appended, not encoded."""
    responses: list[Response] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    """Those of audio of which a transcript was begun."""
    transcribed: int = 0
    """Tokens; what is billed by its duration counts 10 a second."""
    sent: int = 0
    """Messages."""
    code: int | None = None
    """With which the peer closed it; 1006: without any; None: it did not, or not yet."""
    reason: str = ""
    ended: bool = False

    @property
    def used(self) -> int:
        return self.transcribed + sum(response.used for response in self.responses)

    def asked(self, kind: str) -> list[dict[str, Any]]:
        """The events of one type."""
        return [event for event in self.events if event.get("type") == kind]


class Script:
    """The services by key, and the sessions; for any thread."""

    def __init__(self, default: Service) -> None:
        self._default = default
        self._lock = threading.Lock()
        self._services: dict[str, list[Service]] = {}
        self._sessions: defaultdict[str, list[Session]] = defaultdict(list)
        self.handshakes = 0
        """Also of those that were refused."""

    def put(self, key: str, services: tuple[Service, ...]) -> None:
        with self._lock:
            self._services[key] = list(services)

    def take(self, key: str) -> Service:
        """Each in turn, the last one again and again."""
        with self._lock:
            self.handshakes += 1
            services = self._services.get(key) or [self._default]
            return services.pop(0) if len(services) > 1 else services[0]

    def record(self, session: Session) -> None:
        with self._lock:
            self._sessions[session.key].append(session)

    def sessions(self, key: str | None) -> list[Session]:
        with self._lock:
            if key is not None:
                return list(self._sessions.get(key, []))
            return [session for each in self._sessions.values() for session in each]
