"""What can be set on a component, read off its ``Params`` model: type, bounds, unit, default, description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vsframework.components import Params


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a component, in words and JSON values.

    Attributes
    ----------
    name
        The key in the experiment file.
    type
        ``integer``, ``number``, ``text``, ``true or false``, ``list of number``, ``"a" or "b"``...; alternatives are
        joined with " or ".
    numeric
        Whether a number can be given, so that bounds are expected.
    minimum, maximum
        The bounds of a number; None where there is none. `exclusive_minimum` and `exclusive_maximum` say whether the
        bound itself is out.
    unit
        As its author gave it; None without one.
    required, default
        Whether it must be given, and what it is otherwise.
    description
        Its author's sentence; empty if forgotten.
    """

    name: str
    type: str
    numeric: bool
    minimum: float | None
    maximum: float | None
    exclusive_minimum: bool
    exclusive_maximum: bool
    unit: str | None
    required: bool
    default: Any
    description: str

    @property
    def bounds(self) -> str:
        """The bounds in words: ``1 to 16``, ``at least 0``, ``above 0, below 1``; empty without any."""
        closed = not (self.exclusive_minimum or self.exclusive_maximum)
        if self.minimum is not None and self.maximum is not None and closed:
            return f"{self.minimum:g} to {self.maximum:g}"
        words = []
        if self.minimum is not None:
            words.append(f"{'above' if self.exclusive_minimum else 'at least'} {self.minimum:g}")
        if self.maximum is not None:
            words.append(f"{'below' if self.exclusive_maximum else 'at most'} {self.maximum:g}")
        return ", ".join(words)


def describe_parameters(params: type[Params]) -> list[Parameter]:
    """List the parameters of a model, in the order of its fields.

    Raises
    ------
    pydantic.errors.PydanticInvalidForJsonSchema
        When a field has a type that no TOML value can stand for.
    """
    schema = params.model_json_schema()
    definitions = schema.get("$defs", {})
    required = set(schema.get("required", ()))
    properties = schema.get("properties", {})
    return [_describe(name, field, definitions, name in required) for name, field in properties.items()]


def _describe(name: str, field: Mapping[str, Any], definitions: Mapping[str, Any], required: bool) -> Parameter:
    variants = _variants(field, definitions)
    numbers = [
        variant for variant in variants if variant.get("type") in ("integer", "number") and "enum" not in variant
    ]
    bounded: Mapping[str, Any] = numbers[0] if numbers else {}
    return Parameter(
        name=name,
        type=" or ".join(dict.fromkeys(_type_name(variant, definitions) for variant in variants)),
        numeric=bool(numbers),
        minimum=bounded.get("minimum", bounded.get("exclusiveMinimum")),
        maximum=bounded.get("maximum", bounded.get("exclusiveMaximum")),
        exclusive_minimum="exclusiveMinimum" in bounded,
        exclusive_maximum="exclusiveMaximum" in bounded,
        unit=field.get("unit"),
        required=required,
        default=field.get("default"),
        description=field.get("description", ""),
    )


def _variants(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the alternatives of a union, or the field itself."""
    if "$ref" in field:
        return _variants(definitions[field["$ref"].rpartition("/")[2]], definitions)
    alternatives = field.get("anyOf") or field.get("oneOf")
    if not alternatives:
        return [field]
    return [variant for alternative in alternatives for variant in _variants(alternative, definitions)]


def _type_name(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "const" in field:
        return _literal(field["const"])
    if "enum" in field:
        return " or ".join(_literal(value) for value in field["enum"])
    kind = field.get("type")
    if kind == "array":
        items = [field["items"]] if isinstance(field.get("items"), Mapping) else field.get("prefixItems", [])
        names = dict.fromkeys(
            _type_name(item, definitions) for field in items for item in _variants(field, definitions)
        )
        return f"list of {' or '.join(names)}" if names else "list"
    words = {"string": "text", "boolean": "true or false", "null": "none", "object": "table"}
    return words.get(str(kind), str(kind or "anything"))


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
