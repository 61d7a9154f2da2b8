"""Reads the rows that were set aside, from the table the loader keeps them in, and what was done about each since.

Source: docs/decisions/0006-quarantine-is-read-from-the-warehouse.md. Dataset names are checked before they get here, and
values travel as parameters, so that no statement below is made of foreign text.
"""
# ruff: noqa: S608

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from headrace.contract import DRIFT
from headrace.stream.columns import QUARANTINE_ID
from headrace.stream.runs import Run
from services.gateway.adapters.quarantine_sql import (
    ACTED,
    ASSIGNED,
    CAUSE,
    COUNTED,
    OFFENDING,
    SHAPE,
    Chosen,
    Place,
    set_aside,
    table_of,
)
from services.gateway.adapters.warehouse import QueryError, Warehouse
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.drift import Drift
from services.gateway.core.json_values import json_value

_MOST_CLUSTERS: Final = 1000
_MOST_REFUSED: Final = 20
_MOST_ACTS: Final = 200
_PAGE: Final = 2000
_NO_COLUMN: Final = 47
#: What is copied into a request (`QuarantineDesk`), and where the next page begins.
_ASKED: Final = (
    "id",
    "stage",
    "reason",
    "column",
    "topic",
    "partition",
    "raw_offset",
    "quarantined_at",
    "_load_partition",
    "_load_offset",
)
_CONTENT: Final = ("value", "fields")
_MOST_FINGERPRINTS: Final = 200
_BUCKETS: Final = 24
_EXAMPLES: Final = 3
_EXAMPLE: Final = 200  # characters of one


@dataclass(frozen=True, slots=True)
class SetAside:
    """The quarantined rows of a dataset: all of them by cause, and some of them in full."""

    total: int
    clusters: list[dict[str, Any]]
    items: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Rows that share one cause and one shape of the value at fault.

    Shapes: `trend` has a number of rows for each of equal stretches of time, the last of which ends now.
    """

    stage: str
    reason: str
    rule: str | None
    column: str | None
    shape: str | None
    rows: int
    assigned: int
    first: datetime
    last: datetime
    examples: list[str]
    ids: list[str]
    trend: list[int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request so far: rows by what was done, and why some were refused."""

    counts: dict[str, int]
    refused: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class RunCause:
    """Rows of a run that were set aside for one cause; `first` is the id of the first of them."""

    stage: str
    reason: str
    rule: str | None
    column: str | None
    rows: int
    first: str


class Quarantine:
    """The quarantine tables of the warehouse."""

    def __init__(self, warehouse: Warehouse, known: Callable[[str], DatasetVersion | None]) -> None:
        self._warehouse = warehouse
        self._known = known

    def find(self, dataset: str, chosen: Chosen, limit: int) -> SetAside:
        """The chosen rows of a dataset; newest first. Errors: Transient."""
        rows = self._rows(dataset, chosen)
        clusters = self._records(
            dataset,
            f"SELECT {CAUSE}, count() AS rows, {COUNTED} FROM {rows} WHERE {chosen.condition} "
            f"GROUP BY {CAUSE} ORDER BY rows DESC, {CAUSE} LIMIT {_MOST_CLUSTERS}",
            _MOST_CLUSTERS,
            chosen.parameters,
        )
        if not clusters:
            return SetAside(0, [], [])
        total = self.count(dataset, chosen)
        items = self._records(
            dataset,
            f"SELECT * FROM {rows} WHERE {chosen.condition} "
            f"ORDER BY quarantined_at DESC, _load_partition, _load_offset LIMIT {limit}",
            limit,
            chosen.parameters,
        )
        return SetAside(total, clusters, [_with_fields(item) for item in items])

    def count(self, dataset: str, chosen: Chosen) -> int:
        """How many rows are chosen. Errors: Transient."""
        counted = f"SELECT count() AS rows FROM {self._rows(dataset, chosen)} WHERE {chosen.condition}"
        return sum(found["rows"] for found in self._records(dataset, counted, 1, chosen.parameters))

    def fingerprints(self, dataset: str, chosen: Chosen, span: timedelta) -> list[Fingerprint]:
        """The chosen rows by cause and shape of the value at fault, the most frequent first. Errors: Transient.

        The trend is that of the last `span`.
        """
        width = max(1, int(span.total_seconds()) // _BUCKETS)
        age = f"intDiv(greatest(0, dateDiff('second', `quarantined_at`, {{now:DateTime64(6, 'UTC')}})), {width})"
        place = "(`quarantined_at`, _load_partition, _load_offset)"
        found = self._records(
            dataset,
            f"SELECT {CAUSE}, {SHAPE} AS shape, count() AS rows, {COUNTED}, min(`quarantined_at`) AS first, "
            "max(`quarantined_at`) AS last, "
            f"arraySort(groupUniqArray({_EXAMPLES})(leftUTF8({OFFENDING}, {_EXAMPLE}))) AS examples, "
            f"arrayMap(each -> each.2, arraySort(groupArraySorted({_EXAMPLES})(({place}, id)))) AS ids, "
            f"sumMapIf([{age}], [toUInt64(1)], {age} < {_BUCKETS}) AS trend FROM {self._rows(dataset, chosen)} "
            f"WHERE {chosen.condition} "
            f"GROUP BY {CAUSE}, shape ORDER BY rows DESC, {CAUSE}, shape LIMIT {_MOST_FINGERPRINTS}",
            _MOST_FINGERPRINTS,
            chosen.parameters | {"now": datetime.now(UTC)},
        )
        return [_fingerprint(each) for each in found]

    def export(self, dataset: str, chosen: Chosen) -> Iterator[dict[str, Any]]:
        """The chosen rows in full, in the order of their partition. Errors: Transient."""
        for item in self._pages(dataset, chosen, "*", None):
            yield _with_fields(item)

    def every(
        self, dataset: str, chosen: Chosen, *, most: int | None = None, whole: bool = True
    ) -> Iterator[dict[str, Any]]:
        """The chosen rows, at most so many, in the order of their partition: what has to be known of them to ask for them.

        `fields` is text; without `whole` the rows come without it and their bytes. Errors: Transient.
        """
        wanted = ", ".join(f"`{name}`" for name in (*_ASKED, *(_CONTENT if whole else ())))
        return self._pages(dataset, chosen, wanted, most)

    def _pages(self, dataset: str, chosen: Chosen, wanted: str, most: int | None) -> Iterator[dict[str, Any]]:
        after, left = (-1, -1), most
        rows = self._rows(dataset, chosen)
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page = self._records(
                dataset,
                f"SELECT {wanted} FROM {rows} WHERE {chosen.condition} "
                "AND (_load_partition, _load_offset) > ({partition:Int32}, {offset:Int64}) "
                f"ORDER BY _load_partition, _load_offset LIMIT {size}",
                size,
                chosen.parameters | {"partition": after[0], "offset": after[1]},
            )
            yield from page
            if len(page) < size:
                return
            left = None if left is None else left - size
            after = page[-1]["_load_partition"], page[-1]["_load_offset"]

    def get(self, dataset: str, place: Place) -> dict[str, Any] | None:
        """One row, whatever was done about it. Errors: Transient."""
        found = self.find(dataset, Chosen(ids=[place], all=True), 1).items
        return found[0] if found else None

    def again(self, dataset: str, row_id: str) -> list[dict[str, Any]]:
        """The quarantined rows that a row became: it was resubmitted, and set aside once more. Errors: Transient."""
        found = self._records(
            dataset,
            f"SELECT * FROM {self._rows(dataset, Chosen())} "
            f"WHERE raw_offset IS NOT NULL AND JSONExtractString(ifNull(fields, ''), '{QUARANTINE_ID}') = {{again:String}} "
            "ORDER BY quarantined_at, _load_partition, _load_offset LIMIT 10",
            10,
            {"again": row_id},
        )
        return [_with_fields(each) for each in found]

    def acts(self, dataset: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """What was done about rows, or refused, in the order of time. Errors: Transient."""
        return self._records(
            dataset,
            f"SELECT act, act_on, acted_by, because, edit, detail, {ASSIGNED}, quarantined_at AS at FROM {{table}} "
            "WHERE act != 'quarantined' AND has({ids:Array(String)}, ifNull(act_on, '')) "
            f"ORDER BY quarantined_at, _load_partition, _load_offset LIMIT {_MOST_ACTS}",
            _MOST_ACTS,
            {"ids": list(ids)},
        )

    def outcome(self, dataset: str, request: str) -> Outcome:
        """What became of a request so far. Errors: Transient."""
        where = "WHERE act != 'quarantined' AND request = {request:String}"
        asked = {"request": request}
        counts = self._records(
            dataset, f"SELECT act, count() AS rows FROM {{table}} {where} GROUP BY act", _MOST_CLUSTERS, asked
        )
        refused = self._records(
            dataset,
            f"SELECT detail, count() AS rows, any(act_on) AS example FROM {{table}} {where} AND act = 'refused' "
            f"GROUP BY detail ORDER BY rows DESC, detail LIMIT {_MOST_REFUSED}",
            _MOST_REFUSED,
            asked,
        )
        return Outcome({each["act"]: each["rows"] for each in counts}, refused)

    def drifts(self, dataset: str) -> list[Drift]:
        """How the source drifts: open rows that ingest set aside, by column and reason; the oldest first. Errors: Transient."""
        place = "(quarantined_at, _load_partition, _load_offset)"
        reasons = ", ".join(f"'{reason}'" for reason in DRIFT)
        found = self._records(
            dataset,
            f"SELECT `column`, `reason`, count() AS rows, min(quarantined_at) AS since, max(quarantined_at) AS until, "
            f"argMin(id, {place}) AS first, argMin(ifNull(`source`, ''), {place}) AS place "
            f"FROM {self._rows(dataset, Chosen())} "
            f"WHERE state = 'open' AND `stage` = 'ingest' AND `reason` IN ({reasons}) AND `column` IS NOT NULL "
            f"GROUP BY `column`, `reason` ORDER BY since, `column` LIMIT {_MOST_CLUSTERS}",
            _MOST_CLUSTERS,
            {},
        )
        moments = ("since", "until")
        return [Drift(**{**each, **{name: datetime.fromisoformat(each[name]) for name in moments}}) for each in found]

    def of_run(self, dataset: str, run: Run, following: Run | None = None) -> list[RunCause]:
        """The rows of a full load that were set aside, by cause, the most frequent first. Errors: Transient.

        What ingest sets aside has no raw offset: its time tells. `following` is the run after it, if there is one: a run may be
        shown again long after that was read.
        """
        if run.is_backfill or run.begun_at is None:  # a backfill's rows are among others
            return []
        ends = run.ends or (None,) * len(run.starts)
        ranges = [
            f"(`partition` = {number} AND raw_offset >= {start}"
            + (f" AND raw_offset < {end})" if end is not None else ")")
            for number, (start, end) in enumerate(zip(run.starts, ends, strict=True))
        ]
        by_time = "`stage` = 'ingest' AND quarantined_at >= {begun:DateTime64(6, 'UTC')}"
        by_time += "" if run.state == "begun" else " AND quarantined_at <= {ended:DateTime64(6, 'UTC')}"
        next_at = following.begun_at if following is not None else None
        by_time += "" if next_at is None else " AND quarantined_at < {next:DateTime64(6, 'UTC')}"
        place = "(quarantined_at, _load_partition, _load_offset)"
        found = self._records(
            dataset,
            f"SELECT {CAUSE}, count() AS rows, argMin(id, {place}) AS first FROM {self._rows(dataset, Chosen())} "
            f"WHERE {' OR '.join([f'({by_time})', *ranges])} "
            f"GROUP BY {CAUSE} ORDER BY rows DESC, {CAUSE} LIMIT {_MOST_REFUSED}",
            _MOST_REFUSED,
            {"begun": run.begun_at, "ended": run.at} | ({} if next_at is None else {"next": next_at}),
        )
        return [RunCause(**each) for each in found]

    def _rows(self, dataset: str, chosen: Chosen) -> str:
        """A row that is asked for by its id is found whichever generation set it aside."""
        return set_aside(self._known(dataset), everywhere=bool(chosen.ids))

    def _records(self, dataset: str, sql: str, limit: int, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows of a query over `{table}`. Nothing was ever done where the table does not know of acts yet."""
        table = table_of(dataset)
        for source in (table, _knowing(table, ASSIGNED), _knowing(table, *ACTED, ASSIGNED)):
            try:
                asked = sql.replace("{table}", source)
                return self._warehouse.query(asked, limit, parameters).records()
            except QueryError as error:
                if error.no_table:  # the loader makes the table when the first row is set aside
                    return []
                if error.code != _NO_COLUMN:
                    raise
                missing = error
        raise missing


def _knowing(table: str, *names: str) -> str:
    """A table as if it had these columns, with nothing in them."""
    plain = ", ".join(f"CAST(NULL AS Nullable(String)) AS {name}" for name in names)
    return f"(SELECT *, {plain} FROM {table})"


def _fingerprint(found: Mapping[str, Any]) -> Fingerprint:
    """Of a row of the query. Its trend is a pair of lists: how many stretches ago, and how many rows."""
    ages, counts = found["trend"]
    by_age = dict(zip(ages, counts, strict=True))
    moments = {name: datetime.fromisoformat(found[name]) for name in ("first", "last")}
    trend = [int(by_age.get(age, 0)) for age in reversed(range(_BUCKETS))]
    return Fingerprint(**{**found, **moments, "trend": trend})


def _with_fields(item: dict[str, Any]) -> dict[str, Any]:
    """The decoded record as an object, not as text."""
    shown = {name: value for name, value in item.items() if not name.startswith("_load_")}
    return shown | {"fields": json_value(json.loads(item["fields"])) if item["fields"] else None}
