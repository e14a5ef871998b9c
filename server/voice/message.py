"""Messages: how much there may be in one, of either side."""

from server.providers.bounds import MOST_EVENT_VALUES
from server.structure import MOST_WRITTEN_DEPTH, structure_of


class Misbehaved(Exception):
    """A provider has said what nobody can bear; the words are for the log."""


def is_complex(text: bytes) -> bool:
    """Has it very many values, or is it nested very deeply?"""
    return structure_of(text, MOST_EVENT_VALUES, MOST_WRITTEN_DEPTH) is None


def is_rich(text: bytes) -> bool:
    """The same, of what would take long to parse: of nearly all messages nothing is counted."""
    return len(text) > MOST_EVENT_VALUES and is_complex(text)
