"""Reads what sources keep outside of Headrace from its projection in the database, and folds its topic into it."""

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import Connection, Engine, delete, select

from services.gateway.adapters.dataset_store import put
from services.gateway.adapters.tables import SOURCE_HOLDINGS
from services.gateway.core.holdings import HoldingEntry


class HoldingStore:
    """The projection of `_headrace.source-holdings`. The topic is the truth."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, dataset: str = "") -> list[HoldingEntry]:
        """What is kept, by name; only for this dataset, when it is given."""
        asked = select(SOURCE_HOLDINGS).order_by(SOURCE_HOLDINGS.c.name)
        if dataset:
            asked = asked.where(SOURCE_HOLDINGS.c.dataset == dataset)
        with self._engine.connect() as connection:
            return [HoldingEntry(**row) for row in connection.execute(asked).mappings()]


def fold_holdings(connection: Connection, holdings: Iterable[tuple[str, HoldingEntry | None]]) -> None:
    """Bring the projection up to these records, in order; None says that something is taken away."""
    for name, holding in holdings:
        if holding is None:
            connection.execute(delete(SOURCE_HOLDINGS).where(SOURCE_HOLDINGS.c.name == name))
        else:
            put(connection, SOURCE_HOLDINGS, asdict(holding))
