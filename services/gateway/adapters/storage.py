"""Measures how much of a dataset is kept where: in its topics, in the lake, in the warehouse."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from headrace.errors import Transient
from headrace.stream import topics
from headrace.stream.generation_table import table_name
from headrace.stream.lake import landing_table
from services.gateway.adapters.control_fold import Slot
from services.gateway.adapters.lake import Lake
from services.gateway.adapters.ledger_store import LedgerStore
from services.gateway.adapters.progress import Progress
from services.gateway.adapters.warehouse import QueryError, Warehouse
from services.gateway.core.datasets import DatasetVersion

Tier = Literal["raw", "staged", "transformed", "validated", "quarantine", "lake", "warehouse"]
_TOPICS: Final[tuple[Tier, ...]] = ("raw", "staged", "transformed", "validated", "quarantine")
#: Which stage reads a topic, and so knows how large its records are.
_READERS: Final[Mapping[Tier, str]] = {
    "raw": "stager",
    "staged": "transformer",
    "transformed": "quality",
    "validated": "loader",
}
_SIZE: Final = (
    "SELECT total_rows, total_bytes FROM system.tables WHERE database = {domain:String} AND name = {name:String}"
)


@dataclass(frozen=True, slots=True)
class TierSize:
    """How much there is in one place. `detail` says why something is not known."""

    tier: Tier
    place: str
    rows: int | None = None
    size_bytes: int | None = None
    bytes_read: int | None = None
    detail: str = ""


class Storage:
    """Asks each place by itself: what is down hides nothing of the others."""

    def __init__(self, progress: Progress, ledger: LedgerStore, lake: Lake, warehouse: Warehouse) -> None:
        self._progress = progress
        self._ledger = ledger
        self._lake = lake
        self._warehouse = warehouse

    def of(self, dataset: DatasetVersion) -> list[TierSize]:
        """How much there is of a dataset, of its live generation where generations have places of their own."""
        return [*self._in_topics(dataset), self._in_lake(dataset), self._in_warehouse(dataset)]

    def _in_topics(self, dataset: DatasetVersion) -> Iterator[TierSize]:
        partitions = range(dataset.contract().partitions)
        places = dict(zip(_TOPICS, topics.of_dataset(dataset.name, dataset.generation), strict=True))
        slots = [Slot(topic, partition) for topic in places.values() for partition in partitions]
        rows, detail = dict[str, int](), ""
        try:
            starts, ends = self._progress.starts(slots), self._progress.ends(slots)
            rows = {
                topic: sum(ends[slot] - starts[slot] for slot in slots if slot.topic == topic)
                for topic in places.values()
            }
        except Transient as error:
            detail = str(error)
        read: dict[str, int] = {}
        for (stage, _), sums in self._ledger.sums(dataset.name, dataset.generation).items():
            read[stage] = read.get(stage, 0) + sums.bytes_in
        for tier, topic in places.items():
            reader = _READERS.get(tier)
            yield TierSize(tier, topic, rows.get(topic), None, read.get(reader, 0) if reader else None, detail)

    def _in_lake(self, dataset: DatasetVersion) -> TierSize:
        place = landing_table(dataset.name)
        try:
            size = self._lake.size(dataset.name)
        except Transient as error:
            return TierSize("lake", place, detail=str(error))
        if size is None:
            return TierSize("lake", place, 0, 0, detail="nothing of it was landed in a lake that the gateway knows")
        return TierSize("lake", place, size.rows, size.size_bytes)

    def _in_warehouse(self, dataset: DatasetVersion) -> TierSize:
        domain, _, name = dataset.name.partition(".")
        table = table_name(name, dataset.generation)
        place = f"{domain}.{table}"
        try:
            found = self._warehouse.query(_SIZE, 1, {"domain": domain, "name": table}).rows
        except (Transient, QueryError) as error:
            return TierSize("warehouse", place, detail=str(error))
        if not found:
            return TierSize("warehouse", place, 0, 0, detail="no row was loaded yet: there is no table")
        [[rows, size_bytes]] = found
        return TierSize("warehouse", place, rows, size_bytes)
