"""Strict: what all parts of a tenant's config have in common."""

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Of a group or an endpoint: in logs, metrics and `<endpoint>/<model>` it can be nothing else."""
TO_BE_STORED = "to be stored"
"""The context in which a config is validated that is put; of what is stored it is None, or a list
for `note_absent`."""


def _checked_name(name: str, info: ValidationInfo) -> str:
    # What is stored may have other names, from before there was this rule, and is served.
    if info.context == TO_BE_STORED and not NAME.fullmatch(name):
        raise ValueError(f"the name must match {NAME.pattern}")
    return name


def note_absent(name: str, info: ValidationInfo) -> None:
    """A member of what is stored cannot be used, and counts as absent."""
    if isinstance(info.context, list):
        info.context.append(name)


GroupName = Annotated[str, AfterValidator(_checked_name)]
Name = Annotated[GroupName, StringConstraints(min_length=1, max_length=64)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2048)]


class Strict(BaseModel):
    """No "5" for 5. Members that we do not know are allowed: they are the tenant's own."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, hide_input_in_errors=True)


class Lenient(Strict):
    """Of what is stored, members that cannot be used count as absent."""

    @field_validator("*", mode="wrap")
    @classmethod
    def _absent_if_unusable(
        cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        try:
            return handler(value)
        except ValidationError:
            if info.context == TO_BE_STORED:
                raise
            field = cls.model_fields[info.field_name or ""]
            note_absent(field.alias or info.field_name or "", info)
            return field.get_default(call_default_factory=True)
