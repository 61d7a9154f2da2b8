"""Knows datasets as the policy sees them."""

from collections.abc import Iterable
from functools import lru_cache

from headrace.access.policy import Asset, sensitivity
from headrace.contract import Contract
from services.gateway.adapters.dataset_store import DatasetStore
from services.gateway.core.datasets import DatasetVersion


class Assets:
    """The assets of the datasets that are live. A name without a dataset is one in its domain, with nothing known of it."""

    def __init__(self, datasets: DatasetStore) -> None:
        self._datasets = datasets

    def of(self, name: str) -> Asset:
        """The asset with this name."""
        dataset = self._datasets.get(name)
        return Asset(name) if dataset is None else asset_of(dataset)

    def all(self) -> dict[str, Asset]:
        """Every dataset that is live."""
        return {name: asset_of(dataset) for name, dataset in self._datasets.all().items()}


def asset_of(dataset: DatasetVersion) -> Asset:
    """A dataset as the policy sees it, whichever of its generations shows: the most sensitive file decides about each column."""
    documents = [dataset.document, *(other.document for other in dataset.beside if other.document)]
    return strictest(_of_document(document) for document in documents)


def asset_of_file(contract: Contract) -> Asset:
    """A dataset as the policy will see it when this file is live."""
    columns = {field.name: field.classification or contract.classification for field in contract.schema_.fields}
    return Asset(contract.dataset, frozenset(contract.tags), contract.classification, columns)


def strictest(assets: Iterable[Asset]) -> Asset:
    """One asset for several files of a dataset, the first of which is live: it has the tags, nothing is less sensitive in it."""
    live, *others = assets
    for other in others:
        names = live.columns.keys() | other.columns.keys()
        columns = {name: max((live.of_column(name), other.of_column(name)), key=sensitivity) for name in sorted(names)}
        least = max((live.classification, other.classification), key=sensitivity)
        live = Asset(live.name, live.tags, least, columns)
    return live


@lru_cache(4096)
def _of_document(document: str) -> Asset:
    return asset_of_file(Contract.from_json(document))
