"""Keeps the books in the database: adds ledger entries to the sums, and reads the sums back."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, RowMapping, and_, delete, func, or_, select

from headrace.stream.ledger import LedgerEntry
from services.gateway.adapters.dataset_store import put
from services.gateway.adapters.tables import LEDGER_ACTIVITY, LEDGER_FATES, LEDGER_SUMS
from services.gateway.core.conservation import SHARED
from services.gateway.core.folding import (
    Activity,
    BucketKey,
    Sums,
    SumsKey,
    added,
    bucket_key,
    histograms_added,
    sums_key,
    together,
    with_entry,
)

ACTIVITY_KEPT_S = 24 * 3600
WINDOW_S = 60


class Pace(NamedTuple):
    """How fast a stage is: rows a second over the last minute, latency over the minute that ends with its last activity."""

    rate_rows_s: float
    latency: tuple[int, ...]


class LedgerStore:
    """Reads the books."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def sums(self, dataset: str, generation: int) -> dict[tuple[str, int], Sums]:
        """The sums of a dataset's generation, by stage and partition. Of stages that generations share, those of all."""
        with self._engine.connect() as connection:
            found = _sums(connection, dataset)
        sums: dict[tuple[str, int], Sums] = {}
        for key, each in found.items():
            if key.generation == generation or key.stage in SHARED:
                at = key.stage, key.partition
                sums[at] = together(sums[at], each) if at in sums else each
        return sums

    def filtered(self, dataset: str, generation: int) -> dict[str, int]:
        """How many rows of a dataset's generation were filtered, by rule."""
        found: Counter[str] = Counter()
        for sums in self.sums(dataset, generation).values():
            found.update(sums.filtered)
        return dict(found)

    def pace(self, dataset: str, generation: int, now: datetime) -> dict[str, Pace]:
        """How fast each stage of a dataset is."""
        table = LEDGER_ACTIVITY
        of_generation = or_(table.c.generation == generation, table.c.stage.in_(SHARED))
        mine = and_(table.c.dataset == dataset, of_generation)
        last = select(table.c.stage, func.max(table.c.start_s).label("last_s")).where(mine).group_by(table.c.stage)
        newest = last.subquery()
        recent = (
            select(table, newest.c.last_s)
            .join(newest, table.c.stage == newest.c.stage)
            .where(mine, table.c.start_s > newest.c.last_s - WINDOW_S)
        )
        stages: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        with self._engine.connect() as connection:
            for row in connection.execute(recent).mappings():
                stages[row["stage"]].append(dict(row))
        since_s = now.timestamp() - WINDOW_S
        return {stage: _pace(rows, since_s) for stage, rows in stages.items()}


def _pace(rows: Sequence[Mapping[str, Any]], since_s: float) -> Pace:
    read = sum(row["rows_in"] for row in rows if row["start_s"] >= since_s)
    return Pace(read / WINDOW_S, histograms_added(tuple(row["latency"]) for row in rows))


def fold_ledger(connection: Connection, entries: Sequence[LedgerEntry]) -> None:
    """Add entries to the books, within the caller's transaction."""
    sums: dict[SumsKey, Sums] = {}
    activity: dict[BucketKey, Activity] = {}
    for entry in entries:
        whose, when = sums_key(entry), bucket_key(entry)
        if whose not in sums:
            sums |= {whose: Sums()} | _sums(connection, whose.dataset, whose.generation, whose.stage, whose.partition)
        if when not in activity:
            activity[when] = _activity(connection, when)
        sums[whose] = added(sums[whose], entry)
        activity[when] = with_entry(activity[when], entry)
    for whose, total in sums.items():
        _write_sums(connection, whose, total)
    for when, bucket in activity.items():
        values = {"rows_in": bucket.rows_in, "rows_out": bucket.rows_out, "latency": list(bucket.latency)}
        put(connection, LEDGER_ACTIVITY, when._asdict() | values)


def forget_activity(connection: Connection, before_s: int) -> None:
    """Drop what no status shows any more."""
    connection.execute(delete(LEDGER_ACTIVITY).where(LEDGER_ACTIVITY.c.start_s < before_s))


def _write_sums(connection: Connection, whose: SumsKey, total: Sums) -> None:
    counts = {column.name: getattr(total, column.name) for column in LEDGER_SUMS.c if column.name in _COUNTED}
    put(connection, LEDGER_SUMS, whose._asdict() | counts)
    for fate in _FATES:
        causes: Mapping[str, int] = getattr(total, fate)
        for cause, rows in causes.items():
            put(connection, LEDGER_FATES, whose._asdict() | {"fate": fate, "cause": cause, "rows": rows})


_FATES = ("filtered", "quarantined", "resubmitted", "discarded", "parked", "released")
_COUNTED = frozenset(Sums.__dataclass_fields__) - set(_FATES)


def _sums(connection: Connection, *wanted: Any) -> dict[SumsKey, Sums]:
    """The sums of all keys that begin with these values."""
    fates: dict[SumsKey, dict[str, dict[str, int]]] = defaultdict(lambda: {fate: {} for fate in _FATES})
    for row in connection.execute(select(LEDGER_FATES).where(*_is(LEDGER_FATES, wanted))).mappings():
        fates[_key(row)][row["fate"]][row["cause"]] = row["rows"]
    rows = connection.execute(select(LEDGER_SUMS).where(*_is(LEDGER_SUMS, wanted))).mappings()
    sums = {}
    for row in rows:
        key = _key(row)
        counted: dict[str, Any] = {name: row[name] for name in _COUNTED} | fates[key]
        sums[key] = Sums(**counted)
    return sums


def _is(table: Any, wanted: Iterable[Any]) -> list[Any]:
    return [table.c[name] == value for name, value in zip(SumsKey._fields, wanted, strict=False)]


def _key(row: RowMapping) -> SumsKey:
    return SumsKey(*(row[name] for name in SumsKey._fields))


def _activity(connection: Connection, when: BucketKey) -> Activity:
    key = [LEDGER_ACTIVITY.c[name] == value for name, value in when._asdict().items()]
    row = connection.execute(select(LEDGER_ACTIVITY).where(*key)).mappings().one_or_none()
    return Activity() if row is None else Activity(row["rows_in"], row["rows_out"], tuple(row["latency"]))
