"""JSON schemas of types, made by pydantic; of a TypedDict with an example, made of its members'."""

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import TypedDictSchema

Json = dict[str, Any]


def ref(name: str, kind: str = "schemas") -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


class _Generator(GenerateJsonSchema):
    def typed_dict_schema(self, schema: TypedDictSchema) -> JsonSchemaValue:
        """Without members that it does not name, unless its config allows them."""
        return {"additionalProperties": False, **super().typed_dict_schema(schema)}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # it would be the name once more

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        return value  # members and examples in the order that they are written in


class Schemas:
    """Collects in `components` those of the classes that it was asked for."""

    def __init__(self) -> None:
        self.components: Json = {}

    def of(self, kind: Any) -> Json:
        """The schema of a type; of a class, a reference."""
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        found, rest = TypeAdapter.json_schemas(
            [("kind", "validation", adapter)],
            ref_template=ref("{model}")["$ref"],
            schema_generator=_Generator,
        )
        schema, classes = found["kind", "validation"], rest.get("$defs", {})
        known, self.components = self.components, {**self.components, **classes}
        for one in (*classes.values(), schema):
            one.pop("title", None)
            if one.get("additionalProperties") is False or "anyOf" in one:
                one.setdefault("examples", self.examples(one))
        twice = [name for name in known if known[name] != self.components[name]]
        assert not twice, f"several classes have the names {twice}"
        return schema

    def examples(self, schema: Json) -> list[Any]:
        """Its own, or one made of those of its parts."""
        if "examples" in schema:
            return list(schema["examples"])
        if "$ref" in schema:
            return self.examples(self.components[schema["$ref"].rsplit("/", 1)[1]])
        if "const" in schema:
            return [schema["const"]]
        if "anyOf" in schema:
            return [example for one in schema["anyOf"] for example in self.examples(one)]
        if "items" in schema:
            return [self.examples(schema["items"])[:1]]
        members = schema["properties"].items()
        return [{name: self.examples(member)[0] for name, member in members}]
