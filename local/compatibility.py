"""What a change of the OpenAPI document breaks for those who call the service today.

One rule for schemas, by direction. What may be sent: everything accepted before must be accepted still. What is answered: everything
promised before must be kept. So a request may grow optional members and a reply new ones, and neither may the other way round. Where a
schema changed in a way that this cannot judge (a pattern, a format), it counts as breaking: better a major number too many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# Lower and upper bounds; the first list narrows as it grows, the second as it shrinks.
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
# Equal or breaking: nobody can say from the texts which of two is the narrower.
_OPAQUE = ("pattern", "format", "contentMediaType", "multipleOf", "uniqueItems")
_EVERY_TYPE = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_MISSING = object()


def breaking(old: Json, new: Json) -> list[str]:
    """Every breaking change from one document to another, as sentences; empty where callers of ``old`` can go on with ``new``."""
    return list(_Comparison(old, new).changes())


def major(document: Json) -> int:
    """The major number of the contract."""
    return int(str(document["info"]["version"]).partition(".")[0])


def undeclared(old: Json, new: Json) -> list[str]:
    """Breaking changes that came without a new major number."""
    return [] if major(new) > major(old) else breaking(old, new)


@dataclass(frozen=True)
class _Comparison:
    old: Json
    new: Json

    def changes(self) -> Iterator[str]:
        """Path by path."""
        for path, item in self.old["paths"].items():
            if path not in self.new["paths"]:
                yield f"{path}: the path was removed"
                continue
            for method in (method for method in METHODS if method in item):
                where = f"{method.upper()} {path}"
                if method not in self.new["paths"][path]:
                    yield f"{where}: the operation was removed"
                    continue
                yield from self._operation(where, item[method], self.new["paths"][path][method])

    def _operation(self, where: str, old: Json, new: Json) -> Iterator[str]:
        if old.get("operationId") != new.get("operationId"):
            yield f"{where}: the operationId changed"
        yield from self._access(where, old, new)
        yield from self._parameters(where, old, new)
        yield from self._body(where, old, new)
        replies = {status: self._new(reply) for status, reply in new["responses"].items()}
        for status, was in old["responses"].items():
            if status not in replies:
                yield f"{where}: the status {status} was removed"
                continue
            yield from self._reply(f"{where} -> {status}", self._old(was), replies[status])

    def _access(self, where: str, old: Json, new: Json) -> Iterator[str]:
        if new.get("security") and not old.get("security"):
            yield f"{where}: a key is now needed"
        for role in old.get("x-roles", ()):
            if new.get("security") and role not in new.get("x-roles", ()):
                yield f"{where}: the role {role} may no longer call it"

    def _parameters(self, where: str, old: Json, new: Json) -> Iterator[str]:
        before = {(p["in"], p["name"]): p for p in map(self._old, old.get("parameters", ()))}
        after = {(p["in"], p["name"]): p for p in map(self._new, new.get("parameters", ()))}
        for key, parameter in before.items():
            at = f"{where}: the {key[0]} parameter {key[1]}"
            if key not in after:
                yield f"{at} was removed"
                continue
            if after[key].get("required") and not parameter.get("required"):
                yield f"{at} is now required"
            yield from self._sent(at, parameter["schema"], after[key]["schema"])
        for key, parameter in after.items():
            if key not in before and parameter.get("required"):
                yield f"{where}: the {key[0]} parameter {key[1]} is new and required"

    def _body(self, where: str, old: Json, new: Json) -> Iterator[str]:
        was, now = old.get("requestBody"), new.get("requestBody")
        if now is not None and now.get("required") and not (was or {}).get("required"):
            yield f"{where}: a body is now required"
        taken = (now or {}).get("content", {})
        for kind, content in (was or {}).get("content", {}).items():
            if kind not in taken:
                yield f"{where}: a body of {kind} is no longer taken"
            else:
                yield from self._sent(f"{where} body {kind}", content["schema"], taken[kind]["schema"])

    def _reply(self, where: str, old: Json, new: Json) -> Iterator[str]:
        for name, header in old.get("headers", {}).items():
            after = self._new(new.get("headers", {}).get(name, {}))
            if not after or (self._old(header).get("required") and not after.get("required")):
                yield f"{where}: the header {name} is no longer promised"
        for kind, content in old.get("content", {}).items():
            if kind not in new.get("content", {}):
                yield f"{where}: a reply in {kind} was removed"
            else:
                yield from self._answered(f"{where} {kind}", content["schema"], new["content"][kind]["schema"])

    def _sent(self, where: str, old: Any, new: Any) -> Iterator[str]:
        """What the old schema accepts, the new one must accept."""
        yield from _Inclusion(self.old, self.new, reply=False).failures(where, old, new)

    def _answered(self, where: str, old: Any, new: Any) -> Iterator[str]:
        """What the new schema allows a reply to be, the old one must allow."""
        yield from _Inclusion(self.new, self.old, reply=True).failures(where, new, old)

    def _old(self, part: Json) -> Json:
        return _resolved(self.old, part)

    def _new(self, part: Json) -> Json:
        return _resolved(self.new, part)


class _Inclusion:
    """Whether one schema allows nothing that another forbids.

    ``inner`` is the narrower, ``outer`` the wider document. For a request the old schema is the inner one; for a reply the new one.
    """

    def __init__(self, inner: Json, outer: Json, *, reply: bool) -> None:
        self._documents = inner, outer
        self._reply = reply
        self._seen: set[tuple[str, str]] = set()

    def failures(self, where: str, inner: Any, outer: Any) -> Iterator[str]:
        """Sentences, each on a place where it does not hold."""
        if outer is True or outer == {} or inner is False:
            return
        if inner is True or outer is False:
            yield f"{where}: {self._word('anything', 'nothing')}"
            return
        pair = inner.get("$ref"), outer.get("$ref")
        if all(pair):
            if pair in self._seen:
                return
            self._seen.add(pair)
        inner, outer = _resolved(self._documents[0], inner), _resolved(self._documents[1], outer)
        if "anyOf" in inner or "anyOf" in outer:
            yield from self._branches(where, inner, outer)
            return
        yield from self._values(where, inner, outer)
        yield from self._bounds(where, inner, outer)
        yield from self._members(where, inner, outer)
        if "items" in outer and ("items" in inner or "array" in _types(inner)):
            yield from self.failures(f"{where}[]", inner.get("items", {}), outer["items"])

    def _branches(self, where: str, inner: Json, outer: Json) -> Iterator[str]:
        """Every branch of the inner schema must fit into one of the outer's; what fails is told for the branch that fails least."""
        for n, branch in enumerate(inner.get("anyOf", [inner])):
            tried = [list(self._afresh(f"{where}#{n}", branch, other)) for other in outer.get("anyOf", [outer])]
            yield from min(tried, key=len)

    def _afresh(self, where: str, inner: Any, outer: Any) -> Iterator[str]:
        """Without the memory of this comparison: a pair of references that was looked at in one branch says nothing in another."""
        again = _Inclusion(*self._documents, reply=self._reply)
        again._seen = set(self._seen)
        return again.failures(where, inner, outer)

    def _values(self, where: str, inner: Json, outer: Json) -> Iterator[str]:
        allowed, known = _values(inner), _values(outer)
        if known is not None and allowed is None:
            yield f"{where}: {self._word('any value', 'certain values only')}"
        elif known is not None and allowed is not None:
            if not (self._reply and outer.get("x-open") and inner.get("x-open")):
                for value in _without(allowed, known):
                    yield f"{where}: the value {value!r} {self._word('may now come', 'is no longer taken')}"
            # A value that a reply can no longer hold is missed as well: a caller may wait for it.
            for value in _without(known, allowed) if self._reply else ():
                yield f"{where}: the value {value!r} was removed"
        surplus = _types(inner) - _types(outer)
        if surplus and not (surplus == {"integer"} and "number" in _types(outer)):
            yield f"{where}: {self._word('may now be', 'may no longer be')} {', '.join(sorted(surplus))}"

    def _bounds(self, where: str, inner: Json, outer: Json) -> Iterator[str]:
        for name in _LOWER:
            if name in outer and inner.get(name, float("-inf")) < outer[name]:
                yield f"{where}: {name} {self._word('is lower or gone', 'is higher or new')}"
        for name in _UPPER:
            if name in outer and inner.get(name, float("inf")) > outer[name]:
                yield f"{where}: {name} {self._word('is higher or gone', 'is lower or new')}"
        for name in _OPAQUE:
            if name in outer and inner.get(name) != outer[name]:
                yield f"{where}: {name} changed"

    def _members(self, where: str, inner: Json, outer: Json) -> Iterator[str]:
        if "object" not in _types(inner) or "object" not in _types(outer):
            return
        has, may = inner.get("properties", {}), outer.get("properties", {})
        for name in outer.get("required", ()):
            if name not in inner.get("required", ()):
                yield f"{where}: {name} {self._word('is no longer promised', 'is now required')}"
        others, open_to = inner.get("additionalProperties", True), outer.get("additionalProperties", True)
        for name, schema in may.items():
            if name in has:
                yield from self.failures(f"{where}.{name}", has[name], schema)
            elif self._reply:
                yield f"{where}: {name} was removed"
        for name in (name for name in has if name not in may and not self._reply):
            # What was a member of its own is one of the others now: it must fit there.
            if open_to is False:
                yield f"{where}: {name} was removed"
            else:
                yield from self.failures(f"{where}.{name}", has[name], open_to)
        if not self._reply or isinstance(open_to, dict):
            yield from self.failures(f"{where}.*", others, open_to)

    def _word(self, reply: str, request: str) -> str:
        return reply if self._reply else request


def _types(schema: Json) -> frozenset[str]:
    kind = schema.get("type", _MISSING)
    if kind is _MISSING:
        values = _values(schema)
        return _EVERY_TYPE if values is None else frozenset(map(_type_of, values))
    return frozenset([kind] if isinstance(kind, str) else kind)


def _type_of(value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _values(schema: Json) -> list[Any] | None:
    """The values that are listed; None where others are possible."""
    if "const" in schema:
        return [schema["const"]]
    found: list[Any] | None = schema.get("enum")
    return found


def _without(values: list[Any], others: list[Any]) -> list[Any]:
    """Values that are not among the others; 1 and true are different values."""
    known = {(type(value), value) for value in others}
    return [value for value in values if (type(value), value) not in known]


def _resolved(document: Json, part: Json) -> Json:
    """What a reference leads to."""
    while "$ref" in part:
        target: Any = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        part = target
    return part


def told(changes: Iterable[str]) -> str:
    """As a list for people."""
    return "\n".join(f"- {change}" for change in changes)
