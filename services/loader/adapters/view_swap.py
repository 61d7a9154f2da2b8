"""How a view comes to show a table, whatever loaders do meanwhile that know older records (`services.loader.core.showing`)."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from headrace.errors import Transient
from services.loader.core.showing import OutrankedError, aside_of, outdated
from services.loader.core.table import Table, create_view
from services.loader.core.types import Type


class Views(Protocol):
    """What it takes of the engine, each a statement. Every call blocks. Errors: Transient, Fatal."""

    def newest_claim(self, table: Table) -> int:
        """The greatest promotion that the table's view was claimed for; 0 without any."""
        ...

    def write_claim(self, table: Table) -> None:
        """Say that the view is shown by the table's promotion, or a later one."""
        ...

    def made_aside(self, table: Table) -> list[str]:
        """The views that were made aside for this one, and are still there."""
        ...

    def make(self, statement: str, table: Table) -> None:
        """Carry out a statement that makes a view."""
        ...

    def swap(self, table: Table, aside: str) -> None:
        """Have what was made aside show, in one statement. Errors: OutrankedError when it is there no more."""
        ...

    def drop_view(self, table: Table, name: str) -> None:
        """Drop what was made aside, if it is there."""
        ...


def claim(views: Views, table: Table) -> None:
    """See to it that no loader that knows only older records changes the view from now on.

    Errors: OutrankedError when another knows a newer one.
    """
    newest = views.newest_claim(table)
    _refuse_outranked(table, newest)
    if newest < table.promotion:
        views.write_claim(table)
    for name in outdated(table, views.made_aside(table)):
        views.drop_view(table, name)


def show(views: Views, table: Table, held: Mapping[str, Type], only: str | None = None) -> None:
    """Have the view of a table show its columns, and the rows that meet `only`. Errors: OutrankedError, Transient, Fatal."""
    claim(views, table)
    aside = aside_of(table)
    views.make(create_view(replace(table, view=aside), held, only), table)
    try:
        # Whoever claims after this is answered finds what was made aside, and drops it.
        _refuse_outranked(table, views.newest_claim(table))
        views.swap(table, aside)
    finally:
        with suppress(Transient):  # another loader does, in time
            views.drop_view(table, aside)


def _refuse_outranked(table: Table, newest: int) -> None:
    if newest > table.promotion:
        raise OutrankedError(
            f"another loader knows a newer record of what the view of {table.database}.{table.view} shows: it is left alone"
        )
