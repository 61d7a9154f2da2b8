"""Reads the datasets that are live from their projection in the database, and folds their topic into it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, delete, insert, select, update

from services.gateway.adapters.tables import DATASET_VERSIONS, DATASETS, SOURCE_POSITIONS
from services.gateway.core.datasets import DatasetVersion, Generation, SourcePosition


class DatasetStore:
    """The projection of `_headrace.datasets` and `_headrace.source-positions`. The topics are the truth."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> dict[str, DatasetVersion]:
        """Every dataset that is live, by name, in the order of names."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(DATASETS).order_by(DATASETS.c.name)).mappings()
            return {row["name"]: _version(dict(row)) for row in rows}

    def get(self, name: str) -> DatasetVersion | None:
        """One dataset."""
        with self._engine.connect() as connection:
            row = connection.execute(select(DATASETS).where(DATASETS.c.name == name)).mappings().one_or_none()
            return None if row is None else _version(dict(row))

    def version(self, name: str, version: int) -> DatasetVersion | None:
        """A version of a dataset that is or was live; None when it was never seen here."""
        table = DATASET_VERSIONS
        wanted = select(table).where(table.c.name == name, table.c.version == version)
        with self._engine.connect() as connection:
            row = connection.execute(wanted).mappings().one_or_none()
            return None if row is None else DatasetVersion(**row, state="")

    def positions(self) -> dict[str, SourcePosition]:
        """How far ingest has read the source of each dataset, as it last said."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(SOURCE_POSITIONS)).mappings()
            return {row["dataset"]: SourcePosition(**row) for row in rows}


def fold_datasets(connection: Connection, versions: Iterable[tuple[str, DatasetVersion | None]]) -> None:
    """Bring the projection up to these versions, in order; None says that the dataset is gone."""
    for name, version in versions:
        if version is None:
            connection.execute(delete(DATASETS).where(DATASETS.c.name == name))
            continue
        put(connection, DATASETS, asdict(version) | {"beside": _text(version.beside)})
        for each in (version, *(other for other in version.beside if other.document)):
            told = {column.name: getattr(each, column.name) for column in DATASET_VERSIONS.c if column.name != "name"}
            put(connection, DATASET_VERSIONS, told | {"name": name})


def fold_source_positions(connection: Connection, positions: Iterable[tuple[str, SourcePosition | None]]) -> None:
    """Remember how far each source has been read."""
    for name, position in positions:
        if position is None:
            connection.execute(delete(SOURCE_POSITIONS).where(SOURCE_POSITIONS.c.dataset == name))
        else:
            put(connection, SOURCE_POSITIONS, asdict(position))


def put(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Write a row over the one with its primary key, or as a new one. Portable; for a single writer."""
    key = [column == row[column.name] for column in table.primary_key.columns]
    if connection.execute(update(table).where(*key).values(row)).rowcount == 0:
        connection.execute(insert(table).values(row))


_MOMENTS: Final = ("applied_at", "at", "ingested_from", "ingested_to")


def _text(beside: Iterable[Generation]) -> str:
    return json.dumps([asdict(each) for each in beside], default=datetime.isoformat)


def _version(row: Mapping[str, Any]) -> DatasetVersion:
    beside = json.loads(row["beside"])
    moments = ({name: datetime.fromisoformat(each[name]) for name in _MOMENTS if each.get(name)} for each in beside)
    return DatasetVersion.of({**row, "beside": [each | at for each, at in zip(beside, moments, strict=True)]})
