"""A double that each test may do with as it likes."""

from collections.abc import Iterator

import pytest

from tests.doubles.sign_in import SignInDouble


@pytest.fixture(scope="package")
def other_double() -> Iterator[SignInDouble]:
    with SignInDouble() as double:
        yield double


@pytest.fixture
def own(other_double: SignInDouble) -> SignInDouble:
    """As new, and not that of the server."""
    other_double.reset()
    return other_double
