"""Finds the generations of a dataset that can be compared: their tables, their dataset files, and how far they got."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from headrace.stream import topics
from headrace.stream.generation_table import table_name
from services.gateway.adapters.dataset_store import DatasetStore
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.generation_diff import Side


class Sides(Protocol):
    """What knows the generations of datasets."""

    def __call__(self, dataset: DatasetVersion, generation: int) -> Side | None:
        """The generation; None when there is no such one. Errors: Transient."""
        ...


class StoredSides:
    """Knows the generations of each dataset that are not retired.

    `reached` says how far a generation of a dataset got (`GenerationReach`); where it gives None, its table has to tell.
    """

    def __init__(self, datasets: DatasetStore, reached: Callable[[DatasetVersion], Mapping[int, int] | None]) -> None:
        self._datasets = datasets
        self._reached = reached

    def __call__(self, dataset: DatasetVersion, generation: int) -> Side | None:
        """See `Sides`."""
        live = self._datasets.get(dataset.name)
        found = live.of_generation(generation) if live is not None else None
        if live is None or found is None:
            return None
        side, other = side_of(found, self._reached(found)), live.other(generation)
        if other is None:
            return side
        return replace(side, ingested_from=other.ingested_from, ingested_to=other.ingested_to)


def side_of(version: DatasetVersion, reached: Mapping[int, int] | None) -> Side:
    """A generation as it is compared: the one that this version of the dataset file makes."""
    contract = version.contract()
    return Side(
        contract.domain,
        table_name(contract.table, version.generation),
        version.generation,
        version.version,
        contract,
        topics.staged(version.name),
        reached,
    )
