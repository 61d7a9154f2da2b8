"""The rules of checks: what a check looks at is there, of a kind it can be put to, and known where it works."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from headrace.contract import sql
from headrace.contract.field_rules import type_rules
from headrace.contract.issue import Issue, Path
from headrace.contract.names import among
from headrace.contract.plain import article, distinct, existing, inside, items_of, text_of, texts_of
from headrace.contract.source import kinds

_PARTITIONS: Final = 2  # of a dataset that does not say
#: Checks that only some logical types can be put to.
_MEASURABLE: Final = {"format": ("string",), "length": ("string", "array", "map")}


def check_rules(document: Mapping[str, Any], columns: Sequence[str] | None, query: sql.Examined) -> Iterator[Issue]:
    """Every broken rule of the checks of a document, of whose table these are the columns as far as the file tells."""
    names: list[tuple[Path, str]] = []
    kinds = {
        text_of(f.get("name")): text_of(f.get("logicalType"))
        for _, f in items_of(inside(document, "schema", "fields"), ())
    }
    for path, check in items_of(document.get("checks"), ("checks",)):
        if check.get("wait") is not None:
            yield from _waits(document, check, path)
        if (name := text_of(check.get("name"))) is not None:
            names.append(((*path, "name"), name))
        if (column := text_of(check.get("column"))) is not None:
            yield from existing([((*path, "column"), column)], columns)
            yield from _measurable(check, path, kinds.get(column))
        match check.get("check"):
            case "between" | "length":
                yield from _between(check, path)
            case "matches":
                yield from _matches(check, path)
            case "type":
                yield from type_rules(check, path)
            case "unique":
                yield from _unique(document, check, path, columns, query)
            case "references" if check.get("dataset") == document.get("dataset"):
                yield Issue(
                    (*path, "dataset"), repr(check.get("dataset")), "another dataset: a row cannot wait for its own"
                )
            case "expression" if (condition := text_of(check.get("sql"))) is not None:
                issues = sql.examine_condition(
                    condition, columns, sql.own_functions(inside(document, "transform", "hash_key"))
                )
                yield from (issue.under((*path, "sql")) for issue in issues)
    yield from distinct(names)


def _waits(document: Mapping[str, Any], check: Mapping[str, Any], path: Path) -> Iterator[Issue]:
    if check.get("severity") == "flag":
        yield Issue((*path, "wait"), "a wait on a check that flags", "none: a row that is only flagged goes on at once")
    if check.get("severity") == "hold":
        yield Issue(
            (*path, "wait"), "a wait on a check that holds", "none: a row that is held stops its dataset at once"
        )
    if inside(document, "load", "mode") == "replace":
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
    named = texts_of(check.get("columns"), (*path, "columns"))
    yield from existing(named, columns)
    yield from distinct(named)
    key = [name for _, name in texts_of(document.get("key"), ("key",))]
    wanted = [name for _, name in named] or key
    if not wanted:
        yield Issue(
            path, "neither columns nor a key of the dataset", "`columns`, or a `key`: whose values may not repeat"
        )
        return
    kind = kinds().get(text_of(inside(document, "source", "type")) or "")
    if (repeats := _repeats_by_design(inside(document, "load", "mode"), kind is not None and kind.changes)) is not None:
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
    fitting = _MEASURABLE.get(text_of(check.get("check")) or "")
    if fitting and kind is not None and kind not in fitting:
        yield Issue(
            (*path, "column"),
            f"{check.get('column')!r}, {article(kind)} {kind}",
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
    if (pattern := text_of(check.get("pattern"))) is None:
        return
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        reason = str(error).partition("Invalid regular expression: ")[2] or str(error)
        yield Issue((*path, "pattern"), repr(pattern), f"an RE2 regular expression ({reason.strip()})")
