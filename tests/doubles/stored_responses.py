"""The responses that a double has kept, as OpenAI keeps those without `store: false`."""

from typing import Any

from tests.doubles.prompt import items_of_input


class StoredResponses:
    """By their IDs; those of a stream too, from its beginning."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, Any]] = {}

    def keep(self, body: dict[str, Any], reply: dict[str, Any]) -> None:
        if body.get("store") is not False:
            self._kept[reply["id"]] = reply

    def get(self, response_id: str) -> dict[str, Any] | None:
        return self._kept.get(response_id)

    def delete(self, response_id: str) -> None:
        del self._kept[response_id]

    def fault_of(self, body: dict[str, Any]) -> str:
        """Why a request is refused that asks for what was kept; '' when it is not."""
        previous = body.get("previous_response_id")
        if previous is not None and previous not in self._kept:
            return f"Previous response with id '{previous}' not found."
        known = {item["id"] for reply in self._kept.values() for item in reply["output"]}
        for item in items_of_input(body) or []:
            if not _is_looked_up(item) or item.get("id") in known:
                continue
            return (
                f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` "
                "is set to false."
            )
        return ""


def _is_looked_up(item: dict[str, Any]) -> bool:
    kind = item.get("type")
    return kind == "item_reference" or (kind == "reasoning" and not item.get("encrypted_content"))
