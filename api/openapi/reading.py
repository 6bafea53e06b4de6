"""The document for people: schemas as rows of a table, descriptions as paragraphs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup, escape

from api.openapi.parts import Json

NAMES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "array": "list", "object": "object"}
DEEPEST = 5


@dataclass(frozen=True)
class Field:
    """A member of a body or a reply; ``name`` is its place, as in ``predictions[].score``."""

    name: str
    kind: str
    required: bool
    description: str


@dataclass(frozen=True)
class Shape:
    """One form that a body or a reply may have."""

    name: str
    fields: list[Field]


class Reader:
    """Reads the schemas of one document."""

    def __init__(self, document: Json) -> None:
        self._document = document

    def resolve(self, part: Json) -> Json:
        """What a reference leads to; a description beside the reference stays."""
        if "$ref" not in part:
            return part
        found: Json = self._document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return {**self.resolve(found), **{key: value for key, value in part.items() if key != "$ref"}}

    def shapes(self, schema: Json) -> list[Shape]:
        """Every form of a schema, each with its members; forms that are lists of another one are left to it."""
        branches = schema.get("anyOf", [schema])
        found = [Shape(self._name(branch), list(self._members(branch, "", 0))) for branch in branches]
        return [shape for shape in found if shape.fields]

    def kind(self, schema: Json) -> str:
        """What a value may be, in a few words."""
        schema = self.resolve(schema)
        if "anyOf" in schema:
            return " or ".join(dict.fromkeys(self.kind(branch) for branch in schema["anyOf"]))
        if "const" in schema:
            return _shown(schema["const"])
        if "enum" in schema:
            return " | ".join(_shown(value) for value in schema["enum"])
        kinds = schema.get("type", "anything")
        words = [self._kind(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
        return " or ".join(words)

    def _kind(self, kind: str, schema: Json) -> str:
        if kind == "array" and isinstance(schema.get("items"), dict):
            return f"list of {self.kind(schema['items'])}" + (f", at most {schema['maxItems']:,}" if "maxItems" in schema else "")
        word = NAMES.get(kind, kind)
        if kind in ("integer", "number"):
            low, high = schema.get("minimum"), schema.get("maximum")
            word += f" from {low:,}" if low is not None else ""
            word += f" to {high:,}" if high is not None else ""
            word += f" ({schema['x-unit']})" if "x-unit" in schema else ""
        if kind == "string" and schema.get("format") == "date-time":
            return "time with its offset"
        return word

    def _name(self, schema: Json) -> str:
        if "$ref" in schema:
            return str(schema["$ref"].rpartition("/")[2])
        return f"list of {self._name(schema['items'])}" if "items" in schema else "object"

    def _members(self, schema: Json, at: str, depth: int) -> Iterator[Field]:
        schema = self.resolve(schema)
        if depth > DEEPEST:
            return
        if isinstance(schema.get("items"), dict):
            yield from self._members(schema["items"], f"{at}[]", depth + 1)
        branches = [branch for branch in schema.get("anyOf", []) if branch.get("type") != "null"]
        if len(branches) == 1:
            yield from self._members(branches[0], at, depth)
        for name, member in schema.get("properties", {}).items():
            place = f"{at}.{name}" if at else name
            told = self.resolve(member).get("description", "")
            yield Field(place, self.kind(member), name in schema.get("required", ()), str(told).partition("\n")[0])
            yield from self._members(member, place, depth + 1)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def as_html(text: str) -> Markup:
    """Paragraphs, lists of lines that begin with a dash, and `code`; everything else is text."""
    blocks = []
    for block in text.split("\n\n"):
        lines = block.split("\n")
        if all(line.startswith("- ") for line in lines):
            blocks.append(
                Markup("<ul class='lines'>{}</ul>").format(Markup("").join(Markup("<li>{}</li>").format(inline(x[2:])) for x in lines))
            )
        else:
            blocks.append(Markup("<p>{}</p>").format(inline(" ".join(lines))))
    return Markup("\n").join(blocks)


def inline(text: str) -> Markup:
    """One line, in which `code` is code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts))
