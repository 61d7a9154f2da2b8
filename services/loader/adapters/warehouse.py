"""The seam between the exactly-once algorithm and the engine, so that a simulated engine can break in every way."""

from collections.abc import Iterable, Mapping
from typing import Protocol

import pyarrow as pa

from services.loader.core.fencing import Fence
from services.loader.core.table import Table


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
