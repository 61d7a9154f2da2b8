"""Decides which differences between two descriptions of an API break a client that was written for the former.

What a client sends has to be taken still: the new schema may be wider, never narrower. What it reads has to be there still: the
new schema may have more members, never fewer or others. New values of an enumeration in an answer break nobody: clients are told
to expect them. Source: OpenAPI 3.1, JSON Schema 2020-12, as far as FastAPI writes them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Schema = Mapping[str, Any]

_METHODS: Final = ("get", "put", "post", "delete", "patch", "head", "options")
_WORDS: Final = frozenset({"description", "summary", "title", "examples", "example", "tags"})
_NAMED: Final = frozenset(
    {"properties", "schemas", "paths", "content", "responses"}
)  # their members are names, not keywords
_ANYTHING: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
#: A keyword that limits what is taken, and whether a greater value takes less.
_LIMITS: Final = {
    "minimum": True,
    "exclusiveMinimum": True,
    "minLength": True,
    "minItems": True,
    "minProperties": True,
    "maximum": False,
    "exclusiveMaximum": False,
    "maxLength": False,
    "maxItems": False,
    "maxProperties": False,
}


@dataclass(frozen=True, slots=True)
class Breach:
    """Something that a client may rely on, and is no more."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def breaches(old: Schema, new: Schema) -> list[Breach]:
    """What breaks clients of the API that `old` describes, when `new` takes its place."""
    return list(_Comparison(old, new).document())


def essence(document: Any, *, names: bool = False) -> Any:
    """A description without its words, which break nobody."""
    if isinstance(document, dict):
        kept = {key: each for key, each in document.items() if names or key not in _WORDS}
        return {key: essence(each, names=not names and key in _NAMED) for key, each in kept.items()}
    return [essence(each) for each in document] if isinstance(document, list) else document


class _Comparison:
    """Of two documents; `sent` tells whether a schema is of what clients send, or of what they read."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new
        self._under_way: set[tuple[str, str, bool]] = set()

    def document(self) -> Iterator[Breach]:
        for path, methods in self._old["paths"].items():
            for method in (each for each in _METHODS if each in methods):
                now = self._new["paths"].get(path, {}).get(method)
                where = f"{method.upper()} {path}"
                if now is None:
                    yield Breach(where, "is gone")
                else:
                    yield from self._operation(where, methods[method], now)

    def _operation(self, where: str, old: Schema, new: Schema) -> Iterator[Breach]:
        yield from self._parameters(where, _parameters(old), _parameters(new))
        yield from self._body(f"{where} body", old.get("requestBody"), new.get("requestBody"))
        for status, answer in old.get("responses", {}).items():
            if not status.startswith("2"):
                continue
            now = new.get("responses", {}).get(status)
            if now is None:
                yield Breach(f"{where} {status}", "is no longer answered")
            else:
                yield from self._content(f"{where} {status}", answer, now, sent=False)

    def _parameters(self, where: str, old: Mapping[str, Schema], new: Mapping[str, Schema]) -> Iterator[Breach]:
        for name, parameter in old.items():
            now = new.get(name)
            if now is None:
                yield Breach(f"{where} {name}", "is no longer taken")
                continue
            if now.get("required") and not parameter.get("required"):
                yield Breach(f"{where} {name}", "is required")
            yield from self._schema(f"{where} {name}", parameter.get("schema", {}), now.get("schema", {}), sent=True)
        for name, parameter in new.items():
            if name not in old and parameter.get("required"):
                yield Breach(f"{where} {name}", "is new and required")

    def _body(self, where: str, old: Schema | None, new: Schema | None) -> Iterator[Breach]:
        if old is not None and new is None:
            yield Breach(where, "is no longer taken")
        elif new is not None and new.get("required") and not (old or {}).get("required"):
            yield Breach(where, "is required")
        elif old is not None and new is not None:
            yield from self._content(where, old, new, sent=True)

    def _content(self, where: str, old: Schema, new: Schema, *, sent: bool) -> Iterator[Breach]:
        for kind, content in old.get("content", {}).items():
            now = new.get("content", {}).get(kind)
            if now is None:
                yield Breach(where, f"{kind} is gone")
            else:
                yield from self._schema(where, content.get("schema", {}), now.get("schema", {}), sent=sent)

    def _schema(self, where: str, old: Schema, new: Schema, *, sent: bool) -> Iterator[Breach]:
        """Each variant that clients know has to be taken still; each that they may get, to be one they know."""
        mark = (str(old.get("$ref", id(old))), str(new.get("$ref", id(new))), sent)
        if mark in self._under_way:  # a schema that contains itself
            return
        self._under_way.add(mark)
        olds, news = list(_variants(self._old, old)), list(_variants(self._new, new))
        for each in olds if sent else news:
            pairs = [(each, other) for other in news] if sent else [(other, each) for other in olds]
            yield from min((list(self._variant(where, *pair, sent=sent)) for pair in pairs), key=len)
        self._under_way.discard(mark)

    def _variant(self, where: str, old: Schema, new: Schema, *, sent: bool) -> Iterator[Breach]:
        wide, narrow = (new, old) if sent else (old, new)
        if not _types(narrow) <= _types(wide):
            yield Breach(where, f"was {_shown(_types(old))}, is {_shown(_types(new))}")
            return
        if sent:
            yield from _limits(where, old, new)
        yield from self._members(where, old, new, sent=sent)
        if "items" in old and "items" in new:
            yield from self._schema(f"{where}[]", old["items"], new["items"], sent=sent)
        extra, extra_now = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if sent and extra is not False and extra_now is False:
            yield Breach(where, "other members are no longer taken")
        if isinstance(extra, dict) and isinstance(extra_now, dict):
            yield from self._schema(f"{where}.*", extra, extra_now, sent=sent)

    def _members(self, where: str, old: Schema, new: Schema, *, sent: bool) -> Iterator[Breach]:
        members, now = old.get("properties", {}), new.get("properties", {})
        required, required_now = set(old.get("required", ())), set(new.get("required", ()))
        for name, schema in members.items():
            at = f"{where}.{name}"
            if name in now:
                yield from self._schema(at, schema, now[name], sent=sent)
            else:
                yield Breach(at, "is no longer taken" if sent else "is no longer there")
        for name in sorted(required_now - required) if sent else sorted((required - required_now) & now.keys()):
            yield Breach(f"{where}.{name}", "is required" if sent else "may be missing")


def _parameters(operation: Schema) -> dict[str, Schema]:
    return {f"{each['in']} {each['name']}": each for each in operation.get("parameters", [])}


def _variants(document: Schema, schema: Schema) -> Iterator[Schema]:
    """The schemas one of which holds, without references."""
    if "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        yield from _variants(document, found)
    elif several := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        for each in several:
            yield from _variants(document, each)
    else:
        yield schema


def _types(schema: Schema) -> frozenset[str]:
    said = schema.get("type")
    if said is None:
        kinds = {_kind(value) for value in _values(schema) or ()}
        return frozenset(kinds) or _ANYTHING
    types = {said} if isinstance(said, str) else set(said)
    return frozenset(types | {"integer"} if "number" in types else types)


def _kind(value: Any) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "null")


def _values(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _shown(types: frozenset[str]) -> str:
    return "anything" if types == _ANYTHING else " or ".join(sorted(types))


def _limits(where: str, old: Schema, new: Schema) -> Iterator[Breach]:
    """What was taken, and is refused now."""
    values, values_now = _values(old), _values(new)
    if values_now is not None:
        gone = [value for value in values or ["any value"] if value not in values_now]
        if gone:
            yield Breach(where, f"no longer takes {', '.join(map(str, gone))}")
    for limit, greater_is_less in _LIMITS.items():
        was, now = old.get(limit), new.get(limit)
        if now is not None and now != was and (was is None or (now > was) == greater_is_less):
            yield Breach(where, f"{limit} was {'none' if was is None else was}, is {now}")
    for rule in ("pattern", "format"):
        if rule in new and new[rule] != old.get(rule):
            yield Breach(where, f"{rule} was {old.get(rule, 'none')}, is {new[rule]}")
