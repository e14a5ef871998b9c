"""Brackets: noticing the end of a JSON text that comes in fragments."""

from server.providers.bounds import MOST_EVENT_VALUES, TooLarge


class Brackets:
    """Whether those of a JSON text that comes in fragments are closed. Each fragment is looked at
    once: parsing the whole with each would let a provider keep us busy for seconds. So would a
    step for each bracket or string, of which a fragment may have millions."""

    def __init__(self) -> None:
        self.are_closed = False
        self._open = 0
        self._is_in_string = False
        self._backslash = ""
        """The beginning of an escape that a fragment ends in."""

    def read(self, fragment: str) -> None:
        """Raises TooLarge, for more strings than an event may have values."""
        text = self._backslash + fragment
        if "\\" in text:
            text = text.replace("\\\\", "").replace('\\"', "")
            self._backslash = text[-1:] if text.endswith("\\") else ""
            text = text.removesuffix("\\")
        else:
            self._backslash = ""
        if self._is_in_string or '"' in text:
            text = self._outside_of_strings(text)
        opened, closed = (text.count(a) + text.count(b) for a, b in ("{[", "}]"))
        if opened or closed:
            self._open += opened - closed
            self.are_closed = self._open == 0

    def _outside_of_strings(self, text: str) -> str:
        if text.count('"') > 2 * MOST_EVENT_VALUES:
            raise TooLarge
        parts = text.split('"')
        outside = parts[int(self._is_in_string) :: 2]
        self._is_in_string ^= len(parts) % 2 == 0
        return "".join(outside)
