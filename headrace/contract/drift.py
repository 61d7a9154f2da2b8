"""What was decided about columns of a source that came, or changed their values, without notice: `source.drift`."""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field as Setting
from pydantic import StringConstraints

from headrace.contract.fields import ColumnName, LogicalType
from headrace.contract.issue import Issue
from headrace.contract.section import Section
from headrace.contract.sql import examine_expression

#: The reasons for which ingest sets a row aside because its source is no longer what it was.
DRIFT: Final = ("unknown_field", "wrong_type")


#: A source may call its columns as it likes.
SourceColumn = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class Decision(Section):
    """What becomes of a column's values from now on: one of these. It concerns only rows that would be set aside."""

    rename_to: SourceColumn | None = Setting(
        None, description="For a column that is not declared: it is this column, under another name."
    )
    cast: str | None = Setting(
        None,
        min_length=1,
        description="For values that do not fit: a DuckDB expression over the row, in which every value is text, that gives the "
        "one to have instead, such as `replace(price, ' CHF', '')`.",
    )
    keep_as: ColumnName | None = Setting(
        None, description="For values that do not fit: they are kept, as text, in this column, and this one is NULL."
    )
    leave_out: bool = Setting(
        False, description="The column, or a value that does not fit, is left out; the rest of the row goes on."
    )


def broken(source: Mapping[str, Any], changes: bool) -> Iterator[Issue]:
    """What is wrong with the decisions of a `source` section. `changes`: see `SourceSettings.changes`."""
    drift = source.get("drift")
    if not isinstance(drift, Mapping) or not drift:
        return
    if changes:
        yield Issue(
            ("drift",), "decisions", "none: what a captured change that does not fit did to its row is not kept"
        )
    if source.get("metadata"):
        yield Issue(("drift",), "decisions beside `metadata`", "one of them: what was set aside has lost its metadata")
    if source.get("tombstones") == "delete":
        yield Issue(
            ("drift",), "decisions", "none: whether a message deletes its row is not kept with what was set aside"
        )
    for column, decision in drift.items():
        if not isinstance(decision, Mapping):
            continue
        made = [name for name in Decision.model_fields if decision.get(name)]
        if len(made) != 1:
            found = " and ".join(made) or "nothing"
            yield Issue(("drift", column), found, f"one of {', '.join(Decision.model_fields)}")
        for target in ("rename_to", "keep_as"):
            to = decision.get(target)
            if to == column:
                yield Issue(("drift", column, target), repr(column), "another column")
            if isinstance(to, str) and to.startswith("_"):
                yield Issue(("drift", column, target), repr(to), "a column without a leading underscore")
        if isinstance(decision.get("cast"), str):
            yield from (issue.under(("drift", column, "cast")) for issue in examine_expression(decision["cast"]))


@dataclass(frozen=True, slots=True)
class FileEdit:
    """What a decision about a column changes in a dataset file.

    `decision` goes to `source.drift`, `type` to `source.columns`; `publish` is a column, and its type, for `schema.fields`,
    where any are declared.
    """

    column: str
    decision: Decision | None = None
    type: LogicalType | None = None
    publish: tuple[str, LogicalType] | None = None

    def write(self, document: MutableMapping[str, Any]) -> None:
        """Write it into a file's plain values."""
        source = document["source"]
        if self.decision is not None:
            source.setdefault("drift", {})[self.column] = self.decision.model_dump(exclude_defaults=True)
        if self.type is not None:
            source.setdefault("columns", {})[self.column] = self.type
            if source.get("drift", {}).pop(self.column, None) is not None and not source["drift"]:
                del source["drift"]  # it is no other column any more, nor left out
        fields = (document.get("schema") or {}).get("fields")
        if self.publish is not None and fields and all(field["name"] != self.publish[0] for field in fields):
            name, word = self.publish
            fixed = {"physicalType": "json"} if word == "object" else {}
            fields.append({"name": name, "logicalType": word, **fixed})
