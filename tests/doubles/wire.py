"""What a protocol has to offer: each of the *_wire modules is a Wire."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from tests.doubles.plan import Plan


class Wire(Protocol):
    @property
    def PROTOCOL(self) -> str: ...  # noqa: N802

    @property
    def HEADERS(self) -> Mapping[str, str]:  # noqa: N802
        """Of each reply: the provider's own, some of which are not the user's business."""
        ...

    def fault_of(self, headers: Mapping[str, str], body: dict[str, Any]) -> str:
        """Why the provider refuses this request with 400; '' when it does not."""
        ...

    def limit_of(self, body: dict[str, Any]) -> int | None: ...

    def choices_of(self, body: dict[str, Any]) -> int: ...

    def error(self, status: int, code: str, message: str) -> dict[str, Any]: ...

    def error_event(self, code: str) -> bytes: ...

    def reply(self, reply_id: str, body: dict[str, Any], plan: Plan) -> dict[str, Any]: ...

    def steps(self, reply_id: str, body: dict[str, Any], plan: Plan) -> Iterator[bytes]:
        """The events of each step; see Answer."""
        ...


def dumps(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
