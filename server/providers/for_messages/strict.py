"""Which schemas OpenAI's strict mode takes: the subset that it can hold a model to.

Source: https://platform.openai.com/docs/guides/structured-outputs, supported schemas.
"""

from typing import Any

_MOST_DEPTH = 10
_ANNOTATIONS = {"$schema", "$id", "title", "description"}
_KEYWORDS = {
    *_ANNOTATIONS,
    *("type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const"),
    *("$ref", "$defs", "definitions", "pattern", "format", "multipleOf", "minItems", "maxItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
_FORMATS = (
    *("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"),
    None,
)


def can_be_strict(schema: dict[str, Any]) -> bool:
    """Is it of an object, have all its objects no properties but those that they require, is each
    schema in it of some type, and is there no keyword beyond the subset?"""
    return schema.get("type") == "object" and "anyOf" not in schema and _fits(schema, 1)


def _fits(schema: Any, depth: int) -> bool:
    if not isinstance(schema, dict) or depth > _MOST_DEPTH or not schema.keys() <= _KEYWORDS:
        return False
    if "$ref" in schema:
        return schema.keys() == {"$ref"}
    if schema.get("format") not in _FORMATS or not _requires_all(schema) or not _is_typed(schema):
        return False
    return all(_fits(inner, depth + 1) for inner in _inner(schema))


def _is_typed(schema: dict[str, Any]) -> bool:
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    has_items = "array" not in kinds or "items" in schema
    return has_items and (kinds not in ([None], []) or "anyOf" in schema)


def _requires_all(schema: dict[str, Any]) -> bool:
    """If it is one of objects."""
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "properties" not in schema and "object" not in kinds:
        return True
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return False
    named = {name for name in required if isinstance(name, str)}
    return schema.get("additionalProperties") is False and properties.keys() <= named


def _inner(schema: dict[str, Any]) -> list[Any]:
    """The schemas in a schema; None for what should be some and is not."""
    found = [schema["items"]] if "items" in schema else []
    for name in ("properties", "$defs", "definitions"):
        if name in schema:
            found += schema[name].values() if isinstance(schema[name], dict) else [None]
    if "anyOf" in schema:
        found += schema["anyOf"] if isinstance(schema["anyOf"], list) else [None]
    return found
