"""GET /docs: the contract as a page on which a request can be tried. Made from the document; nothing comes from elsewhere."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Response, render_template, request

from api.openapi import openapi
from api.openapi.parts import Json
from api.openapi.reading import Reader, Shape, as_html, inline
from api.services import Services

# Scripts and styles from here alone, none within the page; what it sends goes here alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Example:
    """A body that can be sent; ``text`` is None where the format is no text: a file is chosen instead."""

    media: str
    summary: str
    text: str | None


@dataclass(frozen=True)
class Parameter:
    """A value in the address or a header. ``values``: what can be chosen, where it is a choice."""

    name: str
    place: str
    required: bool
    kind: str
    description: str
    values: list[str]


@dataclass(frozen=True)
class Reply:
    """What may come back."""

    status: str
    description: str
    media: list[str]
    headers: list[str]


@dataclass(frozen=True)
class Operation:
    """All that the page says of one operation."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    roles: list[str]
    parameters: list[Parameter]
    examples: list[Example]
    body_shapes: list[Shape]
    body_description: str
    replies: list[Reply]
    reply_shapes: list[Shape]
    reply_formats: list[str]
    curl: str


def docs(services: Services) -> Response:
    """The page."""
    document = openapi(services.campaigns)
    page = render_template(
        "docs.html",
        info=document["info"],
        groups=[(tag, list(_operations(document, tag["name"], request.host_url.rstrip("/")))) for tag in document["tags"]],
        as_html=as_html,
        inline=inline,
    )
    reply = Response(page, mimetype="text/html")
    reply.headers["Content-Security-Policy"] = POLICY
    return reply


def _operations(document: Json, tag: str, base: str) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method, said in item.items():
            if tag in said["tags"]:
                yield _operation(Reader(document), method.upper(), path, said, base)


def _operation(reader: Reader, method: str, path: str, said: Json, base: str) -> Operation:
    body = said.get("requestBody", {})
    replies = {status: reader.resolve(reply) for status, reply in said["responses"].items()}
    done = next(replies[status] for status in ("200", "201", "303") if status in replies)["content"]
    parameters = [_parameter(reader, reader.resolve(parameter)) for parameter in said.get("parameters", [])]
    examples = list(_examples(body.get("content", {})))
    return Operation(
        id=said["operationId"],
        method=method,
        path=path,
        summary=said["summary"],
        description=said["description"],
        roles=said.get("x-roles", []),
        parameters=parameters,
        examples=examples,
        body_shapes=_shapes(reader, body.get("content", {})),
        body_description=body.get("description", ""),
        replies=[_reply(reader, status, reply) for status, reply in replies.items()],
        reply_shapes=_shapes(reader, done),
        reply_formats=list(done),
        curl=_curl(base, method, path, parameters, examples, with_key=bool(said["security"])),
    )


def _parameter(reader: Reader, said: Json) -> Parameter:
    schema = said["schema"]
    values = [str(value) for value in schema.get("enum", [])]
    return Parameter(said["name"], said["in"], said.get("required", False), reader.kind(schema), said["description"], values)


def _examples(content: Json) -> Iterator[Example]:
    for media, said in content.items():
        for example in said.get("examples", {}).values():
            yield Example(media, example["summary"], _text(example["value"]))
        if "examples" not in said:
            yield Example(media, "A file", None)


def _text(value: Any) -> str:
    """As a person would write it: one row a line."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "[\n" + ",\n".join(json.dumps(row) for row in value) + "\n]"
    nested = [key for key, inner in value.items() if isinstance(inner, list | dict)]
    if not nested:
        return json.dumps(value)
    members = (f"{json.dumps(key)}: {_lines(inner) if key in nested else json.dumps(inner)}" for key, inner in value.items())
    return "{\n" + ",\n".join(members) + "\n}"


def _lines(value: Any) -> str:
    if isinstance(value, list):
        return "[\n  " + ",\n  ".join(json.dumps(row) for row in value) + "\n]"
    if any(isinstance(inner, list) for inner in value.values()):
        return "{\n  " + ",\n  ".join(f"{json.dumps(key)}: {json.dumps(inner)}" for key, inner in value.items()) + "\n}"
    return json.dumps(value)


def _shapes(reader: Reader, content: Json) -> list[Shape]:
    """The forms of the JSON, whatever its media type."""
    found = next((said["schema"] for media, said in content.items() if media.endswith("json")), None)
    return [] if found is None else reader.shapes(found)


def _reply(reader: Reader, status: str, reply: Json) -> Reply:
    headers = [f"`{name}`: {reader.resolve(header)['description']}" for name, header in reply["headers"].items()]
    return Reply(status, reply["description"], list(reply["content"]), headers)


def _curl(base: str, method: str, path: str, parameters: list[Parameter], examples: list[Example], *, with_key: bool) -> str:
    """One command that can be pasted into a shell; the key is taken from a variable."""
    for parameter in parameters:
        if parameter.place == "path":
            path = path.replace(f"{{{parameter.name}}}", parameter.values[0] if parameter.values else "ID")
    parts = [f"curl {shlex.quote(base + path)}"]
    parts += ['-H "Authorization: Bearer $PROPENSITY_KEY"'] if with_key else []
    if examples:
        first = examples[0]
        parts += [f"-H 'Content-Type: {first.media}'"]
        parts += ['-H "Idempotency-Key: $(uuidgen)"'] if any(p.name == "Idempotency-Key" for p in parameters) else []
        parts += [f"--data-binary {shlex.quote(first.text or '')}"]
    return " \\\n  ".join(parts if method in ("GET", "POST") else [*parts, f"-X {method}"])
