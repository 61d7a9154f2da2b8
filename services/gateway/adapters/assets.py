"""Knows datasets as the policy sees them."""

import json
from functools import lru_cache

from headrace.access.policy import Asset
from headrace.contract import Contract
from services.gateway.adapters.dataset_store import DatasetStore
from services.gateway.core.assets import asset_of_document, strictest
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
    return asset_of_document(json.loads(contract.canonical_json()))


@lru_cache(4096)
def _of_document(document: str) -> Asset:
    return asset_of_document(json.loads(document))
