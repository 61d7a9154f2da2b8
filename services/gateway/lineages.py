"""Decides what is around a dataset, and what breaks with it, out of all that is live: only files that matter are understood."""

from collections.abc import Sequence
from functools import lru_cache

from headrace.contract import Contract
from services.gateway.adapters.dataset_store import DatasetStore
from services.gateway.core.catalog_entry import CatalogEntry
from services.gateway.core.catalog_lineage import Broken, Direction, Graph, around, broken_by, leaning
from services.gateway.listing import Listing

_EVERYTHING = 1_000_000  # steps: to the end


@lru_cache(1024)
def _understood(document: str) -> Contract:
    return Contract.from_json(document)


class Lineages:
    """Looks at what is live at one moment, whoever may see it: what is shown is decided by who asks."""

    def __init__(self, datasets: DatasetStore, listing: Listing) -> None:
        self._datasets = datasets
        self._listing = listing

    def around(self, dataset: str, direction: Direction, depth: int) -> Graph:
        """The datasets around one."""
        view = _View(self._datasets, self._listing)
        return around(dataset, direction, depth, view.contract, view.mentioned_by, view.columns)

    def broken_by(self, dataset: str, column: str | None) -> tuple[list[Broken], Graph]:
        """What breaks when a column goes, or all of the dataset; with the datasets that lean on it at all."""
        view = _View(self._datasets, self._listing)
        graph = around(dataset, "downstream", _EVERYTHING, view.contract, view.mentioned_by, lambda _: ())
        contracts = {name: contract for name in graph.distances if (contract := view.contract(name)) is not None}
        if dataset not in contracts:
            return [], graph
        if column is not None:
            return broken_by(dataset, [column], contracts), graph
        broken = broken_by(dataset, view.columns(dataset), contracts)
        return [*broken, *leaning(graph, dataset, broken)], graph


class _View:
    """What is live, each file understood once."""

    def __init__(self, datasets: DatasetStore, listing: Listing) -> None:
        self._datasets = datasets
        self._listing = listing
        self._entries = listing.entries()
        self._contracts: dict[str, Contract | None] = {}

    def contract(self, name: str) -> Contract | None:
        if name not in self._contracts:
            dataset = self._datasets.get(name)
            self._contracts[name] = None if dataset is None else _understood(dataset.document)
        return self._contracts[name]

    def mentioned_by(self, name: str) -> list[str]:
        return [entry.name for entry in self._entries.values() if name in entry.mentions]

    def columns(self, name: str) -> Sequence[str]:
        """The columns that are known of a dataset."""
        entry: CatalogEntry | None = self._entries.get(name)
        if entry is None:
            return ()
        return list(dict.fromkeys((*(column.name for column in entry.columns), *self._listing.observed(entry))))
