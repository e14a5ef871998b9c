"""The schema of a tool's input, whose top level both protocols want to be complete."""

from typing import Any

from server.providers.members import fault, typed

_MAY_BE_NULL = ("required", "description", "title", "additionalProperties", "$defs")


def completed(schema: Any, path: str) -> dict[str, Any]:
    """`schema` as that of an object with properties, if only none. What is null there is left out.
    Raises Unsupported for one of anything else."""
    given = typed(schema, dict, path)
    if given.get("type") not in (None, "object", ["object"]):
        raise fault(f"{path}.type", "must be object")
    members = {
        name: value
        for name, value in given.items()
        if value is not None or name not in ("type", "properties", *_MAY_BE_NULL)
    }
    return {**members, "type": "object", "properties": members.get("properties", {})}
