"""Reads what was decided by hand from its projection in the database, folds the topic of overrides into it, and writes them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from sqlalchemy import Connection as DatabaseConnection
from sqlalchemy import Engine, delete, select

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.kafka.writer import write_all
from headrace.stream.overrides import Override
from services.gateway.adapters.dataset_store import put
from services.gateway.adapters.tables import OVERRIDES


class OverrideStore:
    """The projection of `_headrace.overrides`. The topic is the truth: the transformer reads that."""

    def __init__(self, engine: Engine, connection: Connection, controls: Controls) -> None:
        self._engine = engine
        self._connection = connection
        self._controls = controls

    def of(self, dataset: str) -> list[Override]:
        """What stands about a dataset, in the order of time."""
        wanted = select(OVERRIDES).where(OVERRIDES.c.dataset == dataset).order_by(OVERRIDES.c.at, OVERRIDES.c.key)
        with self._engine.connect() as connection:
            return [Override.of(dict(row)) for row in connection.execute(wanted).mappings()]

    def pins(self) -> dict[str, Override]:
        """The pin of each dataset that has one."""
        wanted = select(OVERRIDES).where(OVERRIDES.c.act == "pin")
        with self._engine.connect() as connection:
            return {row["dataset"]: Override.of(dict(row)) for row in connection.execute(wanted).mappings()}

    def write(self, overrides: Sequence[Override]) -> None:
        """Write what somebody decided. Errors: Transient (some may stand: they may be written again)."""
        records = ((each.key.encode(), self._controls.encode("override", each.record())) for each in overrides)
        write_all(self._connection, topics.OVERRIDES, records)


def fold_overrides(connection: DatabaseConnection, overrides: Iterable[tuple[str, Override | None]]) -> None:
    """Bring the projection up to these overrides, in order; what was taken back is gone."""
    for key, override in overrides:
        if override is None or override.act == "unpin":
            connection.execute(delete(OVERRIDES).where(OVERRIDES.c.key == key))
        else:
            put(connection, OVERRIDES, {**asdict(override), "key": key})
