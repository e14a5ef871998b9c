"""Server prompts of a tenant's config: what its users may ask for without having its text.

Patterns are those of the `regex` crate, which has no backtracking: how long a match takes grows
with the value alone. pydantic-core has it, and matches anywhere in a text.
"""

import re
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import SchemaError, SchemaValidator, core_schema

from server.providers.reading import an_object, string
from server.tenants.models import MaxOutput
from server.tenants.strict import NAME, TO_BE_STORED, Name, Strict, Text

LONGEST_VALUE = 4_000
"""Of a variable, in characters."""
LONGEST_MATCHED = 2_000
"""Of a prompt's variables with patterns together, in characters: those that take longest take some
20 ms for so many, in which nothing else runs."""
LONGEST_PROMPT = 65_536
"""Of a prompt with the longest values, in characters: a short request must not make a long one."""
MOST_PATTERNS = 30
"""Of a config, different ones: those that are too large take 120 ms to be found so."""
# The engine compiles no more than 10 MiB, so this many copies fit only of what takes 160 KiB.
_COPIES = 64
MOST_COMPILED = 3
"""In memory at a time, of all tenants: the engine remembers what it has found by one, up to 2.4 MB
in each of two threads. Most take 0.1 ms to be compiled anew."""
PLACEHOLDER = re.compile(rf"\{{\{{({NAME.pattern})\}}\}}")
_FUNCTION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FORMATS = ("text", "json_object", "json_schema")


class Variable(Strict):
    """What a value must be."""

    max_length: int = Field(500, ge=1, le=LONGEST_VALUE, description="characters")
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None,
        description="a regular expression without look-around and back-references, for the whole "
        "value; lengths are for `max_length` to say",
        examples=["[a-z ]+"],
    )
    enum: list[str] | None = Field(None, min_length=1, description="the values that it may have")

    def fault_of(self, value: Any) -> str | None:
        """What is wrong with this value, if something is. It tells nothing of what is right."""
        if not isinstance(value, str):
            return "must be a string"
        if len(value) > self.max_length:
            return f"must be at most {self.max_length:,} characters"
        if self.enum is not None and value not in self.enum:
            return "is not one of the values that it may have"
        if self.pattern is not None and not _matches(self.pattern, value):
            return "does not have the form that it must have"
        return None

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        if pattern is None or info.context != TO_BE_STORED:
            return pattern
        if fault := _fault_of_pattern(pattern):
            raise ValueError(fault)
        return pattern


class PromptMessage(Strict):
    role: Literal["user", "assistant"]
    content: Annotated[str, StringConstraints(min_length=1)]


class Prompt(Strict):
    """A request whose text the tenant has written; of it users give the values alone, and messages
    of their own where it is a `chat`."""

    model: Text = Field(description="as users would ask for it; they need not be allowed to")
    system: Annotated[str, StringConstraints(min_length=1)] | None = None
    messages: list[PromptMessage] = Field(
        [], description="its turns; `{{name}}` in them and in `system` is a variable's value"
    )
    variables: dict[Name, Variable] = Field({}, description="all must be given")
    max_output: MaxOutput | None = Field(
        None, description="output limit in tokens; absent: its model's"
    )
    tools: list[dict[str, Any]] | None = Field(
        None, min_length=1, description="functions, as chat completions have them"
    )
    response_format: dict[str, Any] | None = Field(None, description="as chat completions have it")
    chat: bool = Field(False, description="messages of the user and answers come after its own")

    def request(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """The chat completion that it is with these messages."""
        found: dict[str, Any] = {"messages": messages}
        if self.tools is not None:
            found["tools"] = self.tools
        if self.response_format is not None:
            found["response_format"] = self.response_format
        return found

    @property
    def texts(self) -> list[str]:
        return [self.system or "", *(message.content for message in self.messages)]

    @field_validator("tools")
    @classmethod
    def _are_functions(cls, tools: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        for tool in tools or ():
            function = tool.get("function")
            name = function.get("name") if isinstance(function, dict) else None
            if tool.get("type") != "function" or not isinstance(name, str):
                raise ValueError("must be functions with names")
            if not _FUNCTION.fullmatch(name):
                raise ValueError(f"the names of functions must match {_FUNCTION.pattern}")
        return tools

    @field_validator("response_format")
    @classmethod
    def _is_known(cls, response_format: dict[str, Any] | None) -> dict[str, Any] | None:
        if response_format is not None and response_format.get("type") not in _FORMATS:
            raise ValueError(f"its type must be one of {', '.join(_FORMATS)}")
        return response_format

    @model_validator(mode="after")
    def _can_be_filled(self) -> Self:
        if not self.messages and not self.chat:
            raise ValueError("needs messages, or chat")
        used = [name for text in self.texts for name in PLACEHOLDER.findall(text)]
        unknown = set(used) - self.variables.keys()
        if unknown:
            raise ValueError(f"{{{{{min(unknown)}}}}} is none of its variables")
        longest = sum(map(len, self.texts)) + sum(self.variables[one].max_length for one in used)
        if longest > LONGEST_PROMPT:
            raise ValueError(f"may have {LONGEST_PROMPT:,} characters with the longest values")
        matched = [one.max_length for one in self.variables.values() if one.pattern is not None]
        if sum(matched) > LONGEST_MATCHED:
            raise ValueError(f"may have {LONGEST_MATCHED:,} characters in variables with patterns")
        return self


def count_variables(prompts: dict[str, Prompt]) -> int:
    return sum(len(prompt.variables) for prompt in prompts.values())


def count_patterns(prompts: Any) -> int:
    """Different ones, in what may be no prompts: it is asked before they are compiled."""
    variables = (an_object(one).get("variables") for one in an_object(prompts).values())
    each = (an_object(one) for of_prompt in variables for one in an_object(of_prompt).values())
    return len({string(one.get("pattern")) for one in each} - {""})


@lru_cache(MOST_PATTERNS)  # a config may have it in many places
def _fault_of_pattern(pattern: str) -> str | None:
    try:
        _compile(pattern)  # by itself first: brackets could open in it and close behind it
        _compile(_whole(pattern))
    except SchemaError:
        return "is no regular expression of the kind that is taken"
    try:
        _compile(f"(?:{pattern}){{{_COPIES}}}")
    except SchemaError:
        return "is too large when compiled; max_length can say lengths"
    return None


def _whole(pattern: str) -> str:
    return rf"\A(?:{pattern})\z"


def _compile(pattern: str) -> SchemaValidator:
    """Raises SchemaError."""
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))


_compiled = lru_cache(MOST_COMPILED)(_compile)


def _matches(pattern: str, value: str) -> bool:
    try:
        return _compiled(_whole(pattern)).isinstance_python(value)
    except SchemaError:  # stored past us, or by a version that took it
        return False
