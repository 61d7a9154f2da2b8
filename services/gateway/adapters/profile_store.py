"""Keeps what the columns of each generation look like: adds the profiles of batches up, and reads the sums back."""

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import Connection, Engine, select

from services.gateway.adapters.catalog_tables import COLUMN_PROFILES
from services.gateway.adapters.dataset_store import put
from services.gateway.core.column_profiles import BatchProfile, ColumnProfile, ProfileKey, columns_of, merged


class ProfileStore:
    """Reads profiles."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, dataset: str, generation: int) -> dict[str, ColumnProfile]:
        """The profile of each column of a generation, in the order of the rows' columns."""
        with self._engine.connect() as connection:
            found = _stored(connection, dataset, generation)
        return dict(sorted(found.items(), key=lambda each: each[1].position))


def fold_profiles(connection: Connection, batches: Iterable[tuple[str, BatchProfile | None]]) -> None:
    """Add the profiles of batches to what stands, within the caller's transaction."""
    known: dict[tuple[str, int], dict[str, ColumnProfile]] = {}
    changed: dict[ProfileKey, ColumnProfile] = {}
    for _, batch in batches:
        if batch is None:
            continue
        whose = batch.dataset, batch.generation
        if whose not in known:
            known[whose] = _stored(connection, *whose)
        for key, profile in columns_of(batch):
            changed[key] = known[whose][key.name] = merged(known[whose].get(key.name), profile)
    for key, profile in changed.items():
        put(connection, COLUMN_PROFILES, key._asdict() | asdict(profile))


def _stored(connection: Connection, dataset: str, generation: int) -> dict[str, ColumnProfile]:
    table = COLUMN_PROFILES
    rows = connection.execute(select(table).where(table.c.dataset == dataset, table.c.generation == generation))
    fields = ColumnProfile.__dataclass_fields__
    return {row["name"]: ColumnProfile(**{name: row[name] for name in fields}) for row in rows.mappings()}
