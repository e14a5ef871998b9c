"""What accompanies each change of a balance: whose it is, and what caused it."""

from typing import NamedTuple


class Who(NamedTuple):
    """A user with the API key that it came with; '' where nobody's key is to be checked.

    A named tuple, because one is made for each request, and a frozen dataclass takes several
    times as long to make.
    """

    tenant_id: str
    user_id: str
    api_key: str


Ref = dict[str, str | int]
"""What a ledger entry says of its cause, for example the request's ID; small."""
