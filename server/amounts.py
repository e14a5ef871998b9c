"""Amounts of tokens: integers, all smaller than what Lua's JSON can keep exactly."""

from typing import Annotated, Any, TypeGuard

from pydantic import Field

LARGEST = 10**13
"""The most tokens that any amount or balance can be: a round bound below what Lua's JSON keeps,
which writes 14 digits."""

Tokens = Annotated[int, Field(ge=0, le=LARGEST)]
"""An amount where pydantic reads the type."""


def is_amount(value: Any, least: int = 0) -> TypeGuard[int]:
    """Is it an integer from `least` to LARGEST?"""
    # bool is an int to Python.
    return type(value) is int and least <= value <= LARGEST
