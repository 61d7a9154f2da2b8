"""The rules between the sections of a dataset file: names that must exist, settings that must agree.

They look at the plain document rather than at the model, so that they can be applied, and reported, beside
whatever is wrong within a section. What they do not recognise they leave to the model.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, to_jsonable_python

from headrace.contract import drift, sql
from headrace.contract.check_rules import check_rules
from headrace.contract.field_rules import properties
from headrace.contract.issue import Issue, Path
from headrace.contract.names import among, closest
from headrace.contract.plain import distinct, existing, inside, items_of, text_of, texts_of, unknown_column
from headrace.contract.source import SourceSettings, kinds

RESERVED_DOMAINS: Final = ("headrace", "system", "default", "information_schema")


def broken(data: Any) -> list[Issue]:
    """Every broken rule of a document, in no particular order."""
    document = to_jsonable_python(data, by_alias=True, fallback=str) if not _is_plain(data) else data
    if not isinstance(document, Mapping):
        return []
    own = sql.own_functions(inside(document, "transform", "hash_key"))
    query = sql.examine(text_of(inside(document, "transform", "sql")), own)
    columns = _published(document, query)
    return [
        *_dataset(document),
        *_source(document),
        *(issue.under(("transform", "sql")) for issue in query.issues),
        *_declared(document, query),
        *_key(document, columns, query),
        *_load(document, columns),
        *check_rules(document, columns, query),
        *_elements(document, columns),
    ]


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
    name = text_of(document.get("dataset"))
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
    path = text_of(inside(document, "source", "path"))
    if path is not None and ".." in PurePath(path).parts:
        yield Issue(("source", "path"), repr(path), "a path without `..`: it may not leave the data folder of ingest")
    source = document.get("source")
    if isinstance(source, Mapping):
        if source.get("type") == "dataset" and source.get("dataset") == document.get("dataset"):
            expected = "another dataset: its rows would come round for ever"
            yield Issue(("source", "dataset"), repr(source.get("dataset")), expected)
        kind = kinds().get(text_of(source.get("type")) or "")
        yield from (issue.under(("source",)) for issue in drift.broken(source, kind is not None and kind.changes))


def _published(document: Mapping[str, Any], query: sql.Examined) -> list[str] | None:
    """The columns of the published table, as far as the file says; None when the source decides."""
    declared = [name for _, name in _names(document)]
    if declared:
        evolves = inside(document, "schema", "evolution") in (None, "evolve", "additive")
        return [*declared, *(c for c in query.columns or () if c not in declared)] if evolves else declared
    return list(query.columns) if query.columns is not None else None


def _declared(document: Mapping[str, Any], query: sql.Examined) -> Iterator[Issue]:
    yield from properties(inside(document, "schema", "fields"), ("schema", "fields"))
    evolution = inside(document, "schema", "evolution")
    closed = evolution in ("quarantine", "strict", "freeze")
    declared = {name: path for path, name in _names(document)}
    if query.columns is None or not declared:
        return
    for name, path in declared.items():
        if name not in query.columns:
            yield unknown_column(path, name, query.columns, "a column that transform.sql gives")
    for name in query.columns if closed else ():
        if name not in declared:
            yield Issue(
                ("transform", "sql"),
                f"the column {name!r}",
                f"only columns that schema.fields declares, because schema.evolution is {evolution}",
                closest(name, declared),
            )


def _key(document: Mapping[str, Any], columns: Sequence[str] | None, query: sql.Examined) -> Iterator[Issue]:
    key = texts_of(document.get("key"), ("key",))
    yield from existing(key, columns)
    yield from distinct(key)
    if inside(document, "load", "mode") != "upsert":
        return
    if not key:
        yield Issue(
            ("key",) if "key" in document else (), "no key", "a key: load.mode upsert keeps the latest row of each"
        )
    required = {
        text_of(f.get("name")): f.get("required") for _, f in items_of(inside(document, "schema", "fields"), ())
    }
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
    order_by = texts_of(inside(document, "load", "order_by"), ("load", "order_by"))
    yield from existing(order_by, columns)
    yield from distinct(order_by)
    mode = inside(document, "load", "mode")
    key = [name for _, name in texts_of(document.get("key"), ())]
    if mode == "upsert" and order_by and key and {name for _, name in order_by} != set(key):
        yield Issue(
            ("load", "order_by"),
            ", ".join(name for _, name in order_by),
            f"the columns of the key ({', '.join(key)}) in any order: the table keeps one row of each",
        )
    if mode == "replace" and document.get("retention") is not None:
        yield Issue(("retention",), "a retention beside load.mode replace", "none: each run replaces every row")
    kind = text_of(inside(document, "source", "type"))
    model = kinds().get(kind) if kind is not None else None
    if mode is None and model is not None and model.changes:
        yield Issue(
            ("load",) if "load" in document else (),
            "no load.mode",
            f"`mode: upsert` with the key of the table, to keep the latest row of each, or `mode: append`, to keep every "
            f"change: a source of type {kind} gives changes",
            "load: {mode: upsert}",
        )
    loaded = mode or "append"
    if model is not None and (
        expected := _of(model, document.get("source"), lambda source: source.why_not_loaded(loaded))
    ):
        yield Issue(("load", "mode") if mode else (), f"{mode or 'append'!r}", expected)
    transformed = text_of(inside(document, "transform", "sql")) is not None
    if (
        model is not None
        and transformed
        and (expected := _of(model, document.get("source"), lambda source: source.why_no_transform))
    ):
        yield Issue(("transform", "sql"), "a transform", expected)
    if inside(document, "source", "schedule") is not None and model is not None and not model.ends:
        expected = f"none: a source of type {kind} never ends, its rows come as they come"
        yield Issue(("source", "schedule"), "a schedule", expected)
    if mode == "replace" and model is not None and not model.ends:
        yield Issue(
            ("load", "mode"),
            "'replace'",
            f"append or upsert: a source of type {kind} never ends, so there is no whole",
        )


def _of(model: type[SourceSettings], source: Any, why: Callable[[SourceSettings], str]) -> str:
    """What a source asks of the rest of the file; nothing when that is so, or the source is not valid by itself."""
    try:
        return why(model.model_validate(source))
    except ValidationError:
        return ""


def _elements(document: Mapping[str, Any], columns: Sequence[str] | None) -> Iterator[Issue]:
    named: list[tuple[Path, Any]] = [(("retention", "element"), inside(document, "retention", "element"))]
    named += [((*path, "element"), promise.get("element")) for path, promise in items_of(document.get("sla"), ("sla",))]
    yield from existing([(path, name) for path, name in named if isinstance(name, str)], columns)


def _names(document: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """The declared columns, each with the path of its name."""
    fields = items_of(inside(document, "schema", "fields"), ("schema", "fields"))
    return [((*path, "name"), name) for path, field in fields if (name := text_of(field.get("name"))) is not None]
