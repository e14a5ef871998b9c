"""JSON schemas of types, made by pydantic; of a TypedDict with an example, made of its members'."""

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import TypedDictSchema, UnionSchema

Json = dict[str, Any]


def ref(name: str, kind: str = "schemas") -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


class _Generator(GenerateJsonSchema):
    def typed_dict_schema(self, schema: TypedDictSchema) -> JsonSchemaValue:
        """Without members that it does not name, unless its config allows them."""
        return {"additionalProperties": False, **super().typed_dict_schema(schema)}

    def union_schema(self, schema: UnionSchema) -> JsonSchemaValue:
        """No value is of two of its types: the objects are closed, and have different members."""
        return {"oneOf": super().union_schema(schema)["anyOf"]}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # it would be the name once more

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        return value  # members and examples in the order that they are written in


class Schemas:
    """Collects in `components` those of the classes and named types that it was asked for."""

    def __init__(self) -> None:
        self.components: Json = {}

    def of(self, kind: Any) -> Json:
        """The schema of a type; of a class or a TypeAliasType, a reference."""
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        found, rest = TypeAdapter.json_schemas(
            [("kind", "validation", adapter)],
            ref_template=ref("{model}")["$ref"],
            schema_generator=_Generator,
        )
        schema, named = found["kind", "validation"], rest.get("$defs", {})
        known, self.components = self.components, {**self.components, **named}
        for one in (*named.values(), schema):
            one.pop("title", None)
            self._add_examples(one)
        twice = [name for name in known if known[name] != self.components[name]]
        assert not twice, f"several types have the names {twice}"
        return schema

    def _add_examples(self, schema: Json) -> None:
        """To an object whose members all have some, to its arrays, and to a choice of such."""
        is_closed = schema.get("additionalProperties") is False
        parts = [schema] if is_closed or "oneOf" in schema else []
        if is_closed:
            parts += [member for member in schema["properties"].values() if "items" in member]
        for part in parts:
            part.setdefault("examples", self.examples(part))

    def examples(self, schema: Json) -> list[Any]:
        """Its own, or one made of those of its parts."""
        if "examples" in schema:
            return list(schema["examples"])
        if "$ref" in schema:
            return self.examples(self.components[schema["$ref"].rsplit("/", 1)[1]])
        if "const" in schema:
            return [schema["const"]]
        if "oneOf" in schema:
            return [example for one in schema["oneOf"] for example in self.examples(one)]
        if "items" in schema:
            return [self.examples(schema["items"])[:1]]
        members = schema["properties"].items()
        return [{name: self.examples(member)[0] for name, member in members}]
