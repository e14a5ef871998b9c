"""Brackets: noticing the end of a JSON text, if no number or word, that comes in fragments."""

from server.providers.bounds import MOST_EVENT_VALUES, TooLarge

# Nowhere in JSON but between two texts.
_BESIDE = ("}{", "}[", "]{", "][")


class Brackets:
    """Whether those of a JSON text that comes in fragments are closed. Each fragment is looked at
    once: parsing the whole with each would let a provider keep us busy for seconds. So would a
    step for each bracket or string, of which a fragment may have millions."""

    def __init__(self) -> None:
        self.are_closed = False
        self.has_more = False
        """After the end of the text there was another."""
        self._open = 0
        self._is_in_string = False
        self._backslash = ""
        """The beginning of an escape that a fragment ends in."""

    @property
    def are_open(self) -> bool:
        """Amid the text."""
        return self._open > 0 or self._is_in_string

    def read(self, fragment: str) -> None:
        """Raises TooLarge, for more strings than an event may have values."""
        text = self._backslash + fragment
        if "\\" in text:
            text = text.replace("\\\\", "").replace('\\"', "")
            self._backslash = text[-1:] if text.endswith("\\") else ""
            text = text.removesuffix("\\")
        else:
            self._backslash = ""
        has_strings = self._is_in_string or '"' in text
        if has_strings:
            text = self._outside_of_strings(text)
        opened, closed = (text.count(a) + text.count(b) for a, b in ("{[", "}]"))
        if (self.are_closed and (opened or has_strings)) or (opened and closed and _has_two(text)):
            self.has_more = True
        if opened or closed or has_strings:
            self._open += opened - closed
            self.are_closed = self._open == 0 and not self._is_in_string

    def _outside_of_strings(self, text: str) -> str:
        if text.count('"') > 2 * MOST_EVENT_VALUES:
            raise TooLarge
        parts = text.split('"')
        outside = parts[int(self._is_in_string) :: 2]
        self._is_in_string ^= len(parts) % 2 == 0
        return "".join(outside)


def _has_two(text: str) -> bool:
    # A pattern would go through the blanks step by step, of which there may be millions.
    dense = "".join(text.split())
    return any(beside in dense for beside in _BESIDE)
