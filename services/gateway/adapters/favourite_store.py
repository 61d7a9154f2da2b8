"""Keeps which datasets somebody wants to find again."""

from datetime import datetime

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from services.gateway.adapters.catalog_tables import FAVOURITES


class FavouriteStore:
    """The favourites of everybody."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, principal: str) -> frozenset[str]:
        """The datasets that somebody has marked."""
        table = FAVOURITES
        with self._engine.connect() as connection:
            return frozenset(
                connection.execute(select(table.c.dataset).where(table.c.principal == principal)).scalars()
            )

    def mark(self, principal: str, dataset: str, at: datetime) -> None:
        """Mark a dataset; once is enough."""
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(FAVOURITES).values(principal=principal, dataset=dataset, at=at))
        except IntegrityError:  # it is marked
            return

    def unmark(self, principal: str, dataset: str) -> None:
        """Take the mark away, if there is one."""
        table = FAVOURITES
        with self._engine.begin() as connection:
            connection.execute(delete(table).where(table.c.principal == principal, table.c.dataset == dataset))
