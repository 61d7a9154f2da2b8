"""Reads from the database what the catalog lists, and tells cheaply whether any of it has changed."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, func, select

from headrace.contract import Contract
from headrace.stream import topics
from services.gateway.adapters.catalog_tables import COLUMN_PROFILES, NOTES, USAGE_DAILY
from services.gateway.adapters.incident_store import IncidentStore
from services.gateway.adapters.tables import DATASET_VERSIONS, DATASETS, FOLD_OFFSETS, LEDGER_SUMS, SOURCE_PAUSES
from services.gateway.core.assets import asset_of_document, strictest
from services.gateway.core.catalog_entry import CatalogEntry, entry_of
from services.gateway.core.catalog_state import Facts

_AT_ONCE: Final = 500  # names in one statement: SQLite takes no endless lists
_TELLING: Final = ("name", "version", "generation", "state", "applied_at", "live_since", "beside")
Head = tuple[Any, ...]


class Stamp(NamedTuple):
    """What moves whenever something listed changes: how far datasets are folded, and the newest note."""

    folded: int
    notes: int


class VersionRow(NamedTuple):
    """A version of a dataset's file."""

    version: int
    generation: int
    document: str
    applied_at: datetime
    applied_by: str
    tests_skipped: str

    def contract(self) -> Contract:
        """The file."""
        return Contract.from_json(self.document)


class CatalogReader:
    """The database as the catalog reads it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._incidents = IncidentStore(engine)

    def stamp(self) -> Stamp:
        """Another one whenever a dataset or a note may be another."""
        folded = select(func.sum(FOLD_OFFSETS.c.next_offset)).where(FOLD_OFFSETS.c.topic == topics.DATASETS)
        with self._engine.connect() as connection:
            found = connection.execute(select(folded.scalar_subquery(), select(func.max(NOTES.c.id)).scalar_subquery()))
            row = found.one()
        return Stamp(int(row[0] or 0), int(row[1] or 0))

    def heads(self) -> dict[str, Head]:
        """Every dataset that is live, with what tells one state of it from another."""
        wanted = select(*(column for column in DATASETS.c if column.name in _TELLING))
        with self._engine.connect() as connection:
            return {row["name"]: tuple(row.values()) for row in connection.execute(wanted).mappings()}

    def entries(self, names: Sequence[str]) -> list[CatalogEntry]:
        """What the catalog knows of these datasets."""
        found = []
        with self._engine.connect() as connection:
            for some in _some(names):
                for row in connection.execute(select(DATASETS).where(DATASETS.c.name.in_(some))).mappings():
                    documents = [row["document"], *(each["document"] for each in json.loads(row["beside"]))]
                    files = [json.loads(document) for document in documents if document]
                    found.append(entry_of(dict(row), files[0], strictest(map(asset_of_document, files))))
        return found

    def versions(self, name: str, before: int | None, most: int) -> list[VersionRow]:
        """The versions of a dataset's file that were ever live here, the newest first."""
        table = DATASET_VERSIONS
        wanted = select(table).where(table.c.name == name).order_by(table.c.version.desc()).limit(most)
        if before is not None:
            wanted = wanted.where(table.c.version < before)
        with self._engine.connect() as connection:
            return [
                VersionRow(**{f: row[f] for f in VersionRow._fields}) for row in connection.execute(wanted).mappings()
            ]

    def observed(self) -> dict[tuple[str, int], list[str]]:
        """The columns that rows of each generation have."""
        table = COLUMN_PROFILES
        found: dict[tuple[str, int], list[str]] = defaultdict(list)
        with self._engine.connect() as connection:
            for dataset, generation, name in connection.execute(
                select(table.c.dataset, table.c.generation, table.c.name)
            ):
                found[dataset, generation].append(name)
        return dict(found)

    def observed_number(self) -> int:
        """How many columns were observed: another number whenever `observed` has one more."""
        with self._engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(COLUMN_PROFILES)).scalar_one())

    def notes(self) -> dict[str, list[str]]:
        """The notes that stand, by dataset."""
        newest = select(func.max(NOTES.c.id)).group_by(NOTES.c.dataset, NOTES.c.column)
        found: dict[str, list[str]] = defaultdict(list)
        with self._engine.connect() as connection:
            for dataset, text in connection.execute(
                select(NOTES.c.dataset, NOTES.c.text).where(NOTES.c.id.in_(newest))
            ):
                if text:
                    found[dataset].append(text)
        return dict(found)

    def facts(self, used_since: date) -> Facts:
        """What goes on in all datasets. `used_since`: from which day on queries are counted."""
        with self._engine.connect() as connection:
            incidents = self._incidents.open()
            return Facts(
                loaded_at=_loaded_at(connection),
                incidents=incidents,
                committed_at=_committed_at(connection, incidents.keys()),
                paused=frozenset(connection.execute(select(SOURCE_PAUSES.c.dataset)).scalars()),
                queries=_queries(connection, used_since),
            )


def _loaded_at(connection: Connection) -> dict[tuple[str, int], Any]:
    table = LEDGER_SUMS
    wanted = (
        select(table.c.dataset, table.c.generation, func.max(table.c.last_commit_at))
        .where(table.c.stage == "loader", table.c.rows_in > 0)
        .group_by(table.c.dataset, table.c.generation)
    )
    return {(dataset, generation): at for dataset, generation, at in connection.execute(wanted)}


def _committed_at(connection: Connection, datasets: Collection[str]) -> dict[str, dict[str, Any]]:
    table = LEDGER_SUMS
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for some in _some(list(datasets)):
        wanted = (
            select(table.c.dataset, table.c.stage, func.max(table.c.last_commit_at))
            .where(table.c.dataset.in_(some))
            .group_by(table.c.dataset, table.c.stage)
        )
        for dataset, stage, at in connection.execute(wanted):
            found[dataset][stage] = at
    return dict(found)


def _queries(connection: Connection, since: date) -> dict[str, int]:
    table = USAGE_DAILY
    wanted = select(table.c.dataset, func.sum(table.c.queries)).where(table.c.day >= since).group_by(table.c.dataset)
    return {dataset: int(queries) for dataset, queries in connection.execute(wanted)}


def _some(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(names), _AT_ONCE):
        yield names[at : at + _AT_ONCE]
