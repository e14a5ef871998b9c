"""Brackets: noticing the end of a JSON text that comes in fragments."""

import re

# A bracket, or a string up to its end or to that of the text.
_TOKEN = re.compile(r'[{\[}\]]|"[^"\\]*+(?:\\.[^"\\]*+)*+("?)', re.DOTALL)


class Brackets:
    """Whether those of a JSON text that comes in fragments are closed. Each fragment is looked at
    once: parsing the whole with each would let a provider keep us busy for seconds."""

    def __init__(self) -> None:
        self.are_closed = False
        self._open = 0
        self._cut = ""
        """The beginning of a string that a fragment ends in, as far as it matters."""

    def read(self, fragment: str) -> None:
        text, self._cut = self._cut + fragment, ""
        for token in _TOKEN.finditer(text):
            if token[0][0] == '"':
                if not token[1]:
                    self._cut = '"' + text[token.end() :]
                continue
            self._open += 1 if token[0] in "{[" else -1
            self.are_closed = self._open == 0
