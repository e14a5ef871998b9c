"""Forms: what a query says, or a body that a browser posts."""

from urllib.parse import parse_qsl

from server.errors import BadRequest

MOST_FIELDS = 30


def fields_of(text: str) -> dict[str, str]:
    """Raises BadRequest for what two programs could read differently, as a name that comes twice,
    and where there are too many."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadRequest from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise BadRequest
    return fields
