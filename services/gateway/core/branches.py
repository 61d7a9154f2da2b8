"""Decides which branches read a generation of the dataset that they come from."""

from collections.abc import Iterable, Mapping

from headrace.stream.branches import Place
from services.gateway.core.datasets import DatasetVersion


def reading(
    live: Iterable[DatasetVersion], places: Mapping[str, Place | None], origin: str, generation: int
) -> list[str]:
    """The branches whose source stands in this generation. One whose `snapshot` was raised begins anew, in the live one."""
    return sorted(each.name for each in live if _reads(each, places.get(each.name), origin, generation))


def _reads(branch: DatasetVersion, place: Place | None, origin: str, generation: int) -> bool:
    source = branch.contract().source.model_dump()
    if place is None or source["type"] != "dataset":
        return False
    named = source.get("dataset", origin), source.get("snapshot", place.snapshot)
    return (place.dataset, place.generation) == (origin, generation) and named == (origin, place.snapshot)
