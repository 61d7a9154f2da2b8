"""The rules between the sections of a dataset file: names that must exist, settings that must agree.

They look at the plain document rather than at the model, so that they can be applied, and reported, beside
whatever is wrong within a section. What they do not recognise they leave to the model.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, to_jsonable_python

from headrace.contract import drift, rowwise, sql
from headrace.contract.fields import FORMATS
from headrace.contract.issue import Issue, Path
from headrace.contract.names import among, closest
from headrace.contract.source import SourceSettings, kinds

RESERVED_DOMAINS: Final = ("headrace", "system", "default", "information_schema")
MAX_DECIMAL_DIGITS: Final = 38
_PARTITIONS: Final = 2  # of a dataset that does not say
#: Checks that only some logical types can be put to.
_MEASURABLE: Final = {"format": ("string",), "length": ("string", "array", "map")}


def broken(data: Any) -> list[Issue]:
    """Every broken rule of a document, in no particular order."""
    document = to_jsonable_python(data, by_alias=True, fallback=str) if not _is_plain(data) else data
    if not isinstance(document, Mapping):
        return []
    query = sql.examine(_text(_at(document, "transform", "sql")), _own_functions(document))
    columns = _published(document, query)
    return [
        *_dataset(document),
        *_source(document),
        *(issue.under(("transform", "sql")) for issue in query.issues),
        *_declared(document, query),
        *_key(document, columns, query),
        *_load(document, columns),
        *_checks(document, columns),
        *(
            issue
            for at, check in _items(document.get("checks"), ("checks",))
            for issue in _unique(document, check, at, columns, query)
        ),
        *_elements(document, columns),
    ]


def _own_functions(document: Mapping[str, Any]) -> rowwise.Own:
    return sql.own_functions(_at(document, "transform", "hash_key"))


def repeated(detail: ErrorDetails) -> InitErrorDetails:
    """An error of pydantic's, in the form in which it can be raised once more."""
    context = detail.get("ctx", {})
    if detail["type"] == "rule":  # one of ours, raised by a setting
        again = Issue((), context["found"], context["expected"], context["suggestion"], context["line"]).as_error()
        return InitErrorDetails(type=again["type"], loc=detail["loc"], input=detail["input"])
    return InitErrorDetails(type=detail["type"], loc=detail["loc"], input=detail["input"], ctx=context)


def _is_plain(data: Any) -> bool:
    """Whether the document holds only what YAML or JSON can hold: then there is no need to copy it."""
    match data:
        case dict():
            return all(_is_plain(value) for value in data.values())
        case list():
            return all(_is_plain(value) for value in data)
        case _:
            return data is None or isinstance(data, str | int | float | bool)


def _dataset(document: Mapping[str, Any]) -> Iterator[Issue]:
    name = _text(document.get("dataset"))
    if name is None:
        return
    domain = name.partition(".")[0]
    if domain in RESERVED_DOMAINS:
        yield Issue(
            ("dataset",), repr(name), f"another domain: {among(RESERVED_DOMAINS, 'and')} belong to the warehouse"
        )
    if "__" in name:
        yield Issue(("dataset",), repr(name), "single underscores: double ones are kept for tables of Headrace's own")


def _source(document: Mapping[str, Any]) -> Iterator[Issue]:
    path = _text(_at(document, "source", "path"))
    if path is not None and ".." in PurePath(path).parts:
        yield Issue(("source", "path"), repr(path), "a path without `..`: it may not leave the data folder of ingest")
    source = document.get("source")
    if isinstance(source, Mapping):
        if source.get("type") == "dataset" and source.get("dataset") == document.get("dataset"):
            expected = "another dataset: its rows would come round for ever"
            yield Issue(("source", "dataset"), repr(source.get("dataset")), expected)
        kind = kinds().get(_text(source.get("type")) or "")
        yield from (issue.under(("source",)) for issue in drift.broken(source, kind is not None and kind.changes))


def _published(document: Mapping[str, Any], query: sql.Examined) -> list[str] | None:
    """The columns of the published table, as far as the file says; None when the source decides."""
    declared = [name for _, name in _names(document)]
    if declared:
        evolves = _at(document, "schema", "evolution") in (None, "evolve", "additive")
        return [*declared, *(c for c in query.columns or () if c not in declared)] if evolves else declared
    return list(query.columns) if query.columns is not None else None


def _declared(document: Mapping[str, Any], query: sql.Examined) -> Iterator[Issue]:
    yield from _properties(_at(document, "schema", "fields"), ("schema", "fields"))
    evolution = _at(document, "schema", "evolution")
    closed = evolution in ("quarantine", "strict", "freeze")
    declared = {name: path for path, name in _names(document)}
    if query.columns is None or not declared:
        return
    for name, path in declared.items():
        if name not in query.columns:
            yield _unknown_column(path, name, query.columns, "a column that transform.sql gives")
    for name in query.columns if closed else ():
        if name not in declared:
            yield Issue(
                ("transform", "sql"),
                f"the column {name!r}",
                f"only columns that schema.fields declares, because schema.evolution is {evolution}",
                closest(name, declared),
            )


def _properties(fields: Any, path: Path) -> Iterator[Issue]:
    seen: dict[str, str] = {}
    for at, field in _items(fields, path):
        name = _text(field.get("name"))
        if name is not None:
            if name.startswith("_"):
                yield Issue((*at, "name"), repr(name), "a name without a leading underscore: those are system columns")
            if name.lower() in seen:
                yield Issue((*at, "name"), repr(name), f"a name of its own: {seen[name.lower()]!r} is declared above")
            seen[name.lower()] = name
        yield from _type(field, at)


def _type(declared: Mapping[str, Any], path: Path) -> Iterator[Issue]:
    """Whether what a type is made of fits its logical type."""
    kind = _text(declared.get("logicalType"))
    physical = _text(declared.get("physicalType"))
    if kind is None:
        return
    if (format_ := _text(_at(declared, "logicalTypeOptions", "format"))) and format_ not in FORMATS.get(kind, ()):
        fitting = FORMATS.get(kind)
        expected = f"{among(fitting)}, the formats of {kind}" if fitting else f"no format: {kind} has none"
        yield Issue((*path, "logicalTypeOptions", "format"), repr(format_), expected, closest(format_, fitting or ()))
    if kind != "timestamp" and _at(declared, "logicalTypeOptions", "timezone") is not None:
        yield Issue(
            (*path, "logicalTypeOptions", "timezone"),
            f"a time zone on {kind}",
            "one only where logicalType is timestamp",
        )
    if physical is not None:
        yield from _physical(kind, physical, (*path, "physicalType"))
    needed = {"array": "items", "map": "map"} | ({"object": "properties"} if physical != "json" else {})
    parts = {"items": "array", "map": "map", "properties": "object"}
    for part, owner in parts.items():
        if declared.get(part) and kind != owner:
            yield Issue((*path, part), f"{part} on {kind}", f"{part} only where logicalType is {owner}")
    if kind in needed and not declared.get(needed[kind]):
        hint = ", or physicalType: json when they are not fixed" if kind == "object" else ""
        yield Issue(path, f"{_article(kind)} {kind} without {needed[kind]}", f"{needed[kind]}{hint}")
    if isinstance(items := declared.get("items"), Mapping):
        yield from _type(items, (*path, "items"))
    for end in ("key", "value"):
        if isinstance(inner := _at(declared, "map", end), Mapping):
            yield from _type(inner, (*path, "map", end))
    yield from _properties(declared.get("properties"), (*path, "properties"))


def _physical(kind: str, physical: str, path: Path) -> Iterator[Issue]:
    if physical == "json" and kind != "object":
        yield Issue(path, f"'json' on {kind}", "json only where logicalType is object")
    if physical.startswith("decimal"):
        if kind != "number":
            yield Issue(
                path, f"{physical!r} on {kind}", "a decimal only where logicalType is number", "logicalType: number"
            )
        digits = [
            int(part) for part in physical.removeprefix("decimal").strip("()").split(",") if part.strip().isdigit()
        ]
        if len(digits) == 2 and not (1 <= digits[0] <= MAX_DECIMAL_DIGITS and digits[1] <= digits[0]):
            yield Issue(path, repr(physical), "1 to 38 digits, of which no more than all are decimals")


def _key(document: Mapping[str, Any], columns: Sequence[str] | None, query: sql.Examined) -> Iterator[Issue]:
    key = _texts(document.get("key"), ("key",))
    yield from _exist(key, columns)
    yield from _distinct(key)
    if _at(document, "load", "mode") != "upsert":
        return
    if not key:
        yield Issue(
            ("key",) if "key" in document else (), "no key", "a key: load.mode upsert keeps the latest row of each"
        )
    required = {_text(f.get("name")): f.get("required") for _, f in _items(_at(document, "schema", "fields"), ())}
    for path, name in key:
        if required.get(name, True) is not True:
            yield Issue(path, f"{name!r}, which may be missing", "a key column with `required: true` in schema.fields")
        if name in query.computed:
            yield Issue(
                path,
                f"{name!r}, which transform.sql computes",
                "a column taken unchanged from the source: its rows are partitioned by it before the transform",
            )


def _load(document: Mapping[str, Any], columns: Sequence[str] | None) -> Iterator[Issue]:
    order_by = _texts(_at(document, "load", "order_by"), ("load", "order_by"))
    yield from _exist(order_by, columns)
    yield from _distinct(order_by)
    mode = _at(document, "load", "mode")
    key = [name for _, name in _texts(document.get("key"), ())]
    if mode == "upsert" and order_by and key and {name for _, name in order_by} != set(key):
        yield Issue(
            ("load", "order_by"),
            ", ".join(name for _, name in order_by),
            f"the columns of the key ({', '.join(key)}) in any order: the table keeps one row of each",
        )
    if mode == "replace" and document.get("retention") is not None:
        yield Issue(("retention",), "a retention beside load.mode replace", "none: each run replaces every row")
    kind = _text(_at(document, "source", "type"))
    model = kinds().get(kind) if kind is not None else None
    if mode is None and model is not None and model.changes:
        yield Issue(
            ("load",) if "load" in document else (),
            "no load.mode",
            f"`mode: upsert` with the key of the table, to keep the latest row of each, or `mode: append`, to keep every "
            f"change: a source of type {kind} gives changes",
            "load: {mode: upsert}",
        )
    if model is not None and (expected := _not_loaded(model, document.get("source"), mode or "append")):
        yield Issue(("load", "mode") if mode else (), f"{mode or 'append'!r}", expected)
    if _at(document, "source", "schedule") is not None and model is not None and not model.ends:
        expected = f"none: a source of type {kind} never ends, its rows come as they come"
        yield Issue(("source", "schedule"), "a schedule", expected)
    if mode == "replace" and model is not None and not model.ends:
        yield Issue(
            ("load", "mode"),
            "'replace'",
            f"append or upsert: a source of type {kind} never ends, so there is no whole",
        )


def _not_loaded(model: type[SourceSettings], source: Any, mode: str) -> str:
    """What else `load.mode` has to be for a source; nothing when it is right, or the source is not valid by itself."""
    try:
        return model.model_validate(source).why_not_loaded(mode)
    except ValidationError:
        return ""


def _checks(document: Mapping[str, Any], columns: Sequence[str] | None) -> Iterator[Issue]:
    names: list[tuple[Path, str]] = []
    kinds = {
        _text(f.get("name")): _text(f.get("logicalType")) for _, f in _items(_at(document, "schema", "fields"), ())
    }
    for path, check in _items(document.get("checks"), ("checks",)):
        if check.get("wait") is not None:
            yield from _waits(document, check, path)
        if (name := _text(check.get("name"))) is not None:
            names.append(((*path, "name"), name))
        if (column := _text(check.get("column"))) is not None:
            yield from _exist([((*path, "column"), column)], columns)
            yield from _measurable(check, path, kinds.get(column))
        match check.get("check"):
            case "between" | "length":
                yield from _between(check, path)
            case "matches":
                yield from _matches(check, path)
            case "type":
                yield from _type(check, path)
            case "references" if check.get("dataset") == document.get("dataset"):
                yield Issue(
                    (*path, "dataset"), repr(check.get("dataset")), "another dataset: a row cannot wait for its own"
                )
            case "expression" if (condition := _text(check.get("sql"))) is not None:
                issues = sql.examine_condition(condition, columns, _own_functions(document))
                yield from (issue.under((*path, "sql")) for issue in issues)
    yield from _distinct(names)


def _waits(document: Mapping[str, Any], check: Mapping[str, Any], path: Path) -> Iterator[Issue]:
    if check.get("severity") == "flag":
        yield Issue((*path, "wait"), "a wait on a check that flags", "none: a row that is only flagged goes on at once")
    if check.get("severity") == "hold":
        yield Issue(
            (*path, "wait"), "a wait on a check that holds", "none: a row that is held stops its dataset at once"
        )
    if _at(document, "load", "mode") == "replace":
        expected = "none: a run is whole when all of it was read, and a row that waits would be missing from it"
        yield Issue((*path, "wait"), "a wait beside load.mode replace", expected)


def _unique(
    document: Mapping[str, Any],
    check: Mapping[str, Any],
    path: Path,
    columns: Sequence[str] | None,
    query: sql.Examined,
) -> Iterator[Issue]:
    """Whether rows with the same values can be told: they must meet in one partition, and have none before them by design."""
    if check.get("check") != "unique":
        return
    named = _texts(check.get("columns"), (*path, "columns"))
    yield from _exist(named, columns)
    yield from _distinct(named)
    key = [name for _, name in _texts(document.get("key"), ("key",))]
    wanted = [name for _, name in named] or key
    if not wanted:
        yield Issue(
            path, "neither columns nor a key of the dataset", "`columns`, or a `key`: whose values may not repeat"
        )
        return
    kind = kinds().get(_text(_at(document, "source", "type")) or "")
    if (repeats := _repeats_by_design(_at(document, "load", "mode"), kind is not None and kind.changes)) is not None:
        yield Issue(path, f"unique, while {repeats}", "no such check: a row with the same values is no mistake there")
        return
    if document.get("partitions", _PARTITIONS) == 1:
        return
    missing = [name for name in key if name not in wanted]
    computed = [name for name in key if name in query.computed]
    if not key or missing or computed:
        what = "no key" if not key else f"the key {', '.join(key)}"
        why = f", of which transform.sql computes {', '.join(computed)}" if computed else ""
        yield Issue(
            path,
            f"unique on {', '.join(wanted)}, in a dataset with {what}{why}",
            "rows with the same values in one partition, where they can be compared: `partitions: 1`, or a `key` of columns "
            "taken unchanged from the source that are all among those of the check",
        )


def _repeats_by_design(mode: Any, changes: bool) -> str | None:
    """Why rows with the same values come again without being wrong; None where they do not."""
    if mode == "upsert":
        return "load.mode is upsert: the latest row of each key replaces the one before"
    if mode == "replace":
        return "load.mode is replace: each run brings every row anew"
    return "the source gives changes: each change of a row has its values again" if changes else None


def _measurable(check: Mapping[str, Any], path: Path, kind: str | None) -> Iterator[Issue]:
    """Whether a column of this declared type can have the format or the length that a check asks for."""
    fitting = _MEASURABLE.get(_text(check.get("check")) or "")
    if fitting and kind is not None and kind not in fitting:
        yield Issue(
            (*path, "column"),
            f"{check.get('column')!r}, {_article(kind)} {kind}",
            f"a column whose logicalType is {among(fitting)}",
        )


def _between(check: Mapping[str, Any], path: Path) -> Iterator[Issue]:
    low, high = check.get("min"), check.get("max")
    if low is None and high is None:
        yield Issue(path, "neither min nor max", "one of them, or both")
    if low is None or high is None or not all(isinstance(end, int | float | str) for end in (low, high)):
        return  # the model says what is no bound
    if isinstance(low, str) != isinstance(high, str):
        yield Issue((*path, "max"), f"{low!r} and {high!r}", "min and max of one kind: two numbers, or two dates")
    elif low > high:
        yield Issue((*path, "max"), repr(high), f"a max that is not below min ({low!r})")


def _matches(check: Mapping[str, Any], path: Path) -> Iterator[Issue]:
    if (pattern := _text(check.get("pattern"))) is None:
        return
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        reason = str(error).partition("Invalid regular expression: ")[2] or str(error)
        yield Issue((*path, "pattern"), repr(pattern), f"an RE2 regular expression ({reason.strip()})")


def _elements(document: Mapping[str, Any], columns: Sequence[str] | None) -> Iterator[Issue]:
    named: list[tuple[Path, Any]] = [(("retention", "element"), _at(document, "retention", "element"))]
    named += [((*path, "element"), promise.get("element")) for path, promise in _items(document.get("sla"), ("sla",))]
    yield from _exist([(path, name) for path, name in named if isinstance(name, str)], columns)


def _exist(names: Sequence[tuple[Path, str]], columns: Sequence[str] | None) -> Iterator[Issue]:
    for path, name in names:
        if name.startswith("_"):
            yield Issue(path, repr(name), "a column of the dataset: a leading underscore marks system columns")
        elif columns is not None and name not in columns:
            yield _unknown_column(path, name, columns, "a column of the published table")


def _unknown_column(path: Path, name: str, columns: Sequence[str], expected: str) -> Issue:
    return Issue(path, repr(name), f"{expected} ({', '.join(columns)})", closest(name, columns))


def _distinct(names: Sequence[tuple[Path, str]]) -> Iterator[Issue]:
    seen: set[str] = set()
    for path, name in names:
        if name in seen:
            yield Issue(path, f"{name!r} for the second time", "each name once")
        seen.add(name)


def _names(document: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """The declared columns, each with the path of its name."""
    fields = _items(_at(document, "schema", "fields"), ("schema", "fields"))
    return [((*path, "name"), name) for path, field in fields if (name := _text(field.get("name"))) is not None]


def _at(document: Any, *keys: str) -> Any:
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _items(value: Any, path: Path) -> list[tuple[Path, Mapping[str, Any]]]:
    rows = value if isinstance(value, list) else []
    return [((*path, i), item) for i, item in enumerate(rows) if isinstance(item, Mapping)]


def _texts(value: Any, path: Path) -> list[tuple[Path, str]]:
    rows = value if isinstance(value, list) else []
    return [((*path, i), item) for i, item in enumerate(rows) if isinstance(item, str)]


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
