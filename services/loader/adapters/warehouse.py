"""The seam between the exactly-once algorithm and the engine, so that a simulated engine can break in every way."""

from collections.abc import Iterable, Mapping
from typing import Protocol

import pyarrow as pa

from headrace.stream.runs import Range
from services.loader.core.fencing import Fence
from services.loader.core.runs import Found
from services.loader.core.table import Table
from services.loader.core.types import Type


class Warehouse(Protocol):
    """What the loader asks of the warehouse. Every call blocks. Errors: Transient, Fatal."""

    def prepare(self, table: Table, rows: pa.Schema) -> None:
        """Make the table and its view hold rows of this schema."""
        ...

    def newest(self, table: Table, partitions: Iterable[int]) -> dict[int, Fence]:
        """The newest fence of each partition that has one."""
        ...

    def fence(self, table: Table, fences: Mapping[int, Fence]) -> None:
        """Write fences. From then on, inserts with older ones fail when they start."""
        ...

    def stop(self, table: Table, partitions: Iterable[int]) -> None:
        """End the inserts into these partitions that have started. When it returns, none of them writes any more."""
        ...

    def loaded(self, table: Table, bases: Mapping[int, int]) -> dict[int, pa.Int64Array]:
        """Which offsets the table holds, of each partition from its base on."""
        ...

    def insert(self, table: Table, rows: pa.Table, fences: Mapping[int, Fence]) -> None:
        """Write rows. Errors: FenceMovedError (nothing was written); Transient (all, some or none of them stand, or will)."""
        ...

    def close(self) -> None: ...


class FullLoads(Protocol):
    """What showing whole runs takes beside it. Every call blocks. Errors: Transient, Fatal."""

    def held(self, table: Table) -> Mapping[str, Type] | None:
        """The columns of a table; None when there is no such table."""
        ...

    def found(self, table: Table, quarantine: Table, generation: int, only: Iterable[Range]) -> Found:
        """What the tables hold of these raw offsets."""
        ...

    def columns(self, table: Table) -> pa.Schema:
        """The columns of a table, in the types in which it gives them back."""
        ...

    def placed(self, table: Table, only: Iterable[Range]) -> dict[int, tuple[int, int]]:
        """Where in the topic that is loaded the rows from these raw offsets were: the first and last offset by partition."""
        ...

    def rows(self, table: Table, names: Iterable[str], only: Range) -> pa.Table:
        """These columns of the rows from these raw offsets; all of them in memory."""
        ...

    def shows(self, table: Table) -> str | None:
        """What the view of a table selects, as the engine words it; None when there is no view."""
        ...

    def claim(self, table: Table) -> None:
        """Shut out who knows only older records of what the view shows. Errors: OutrankedError when another knows a newer one."""
        ...

    def show(self, table: Table, held: Mapping[str, Type], only: str | None = None) -> None:
        """Have the view of a table show these columns, and the rows that meet `only`, at once. Errors: also OutrankedError."""
        ...

    def discard(self, table: Table, only: str) -> None:
        """Begin to delete the rows that meet a condition. It is done in the background, and may be asked for again."""
        ...

    def drop(self, table: Table) -> None:
        """Delete a table with its fences, if it is there; again and again, if need be. Errors: also Transient while it shows."""
        ...

    def close(self) -> None: ...


class LoaderWarehouse(Warehouse, FullLoads, Protocol):
    """All of it."""
