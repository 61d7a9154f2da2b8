"""Decides what a dataset is to the policy: by its canonical file alone, without the cost of validating that once more."""

from collections.abc import Iterable, Mapping
from typing import Any

from headrace.access.policy import Asset, sensitivity


def asset_of_document(document: Mapping[str, Any]) -> Asset:
    """The dataset of a canonical file as the policy knows it."""
    classification = document["classification"]
    columns = {field["name"]: field.get("classification") or classification for field in document["schema"]["fields"]}
    return Asset(document["dataset"], frozenset(document["tags"]), classification, columns)


def strictest(assets: Iterable[Asset]) -> Asset:
    """One asset for several files of a dataset, the first of which is live: it has the tags, nothing is less sensitive in it."""
    live, *others = assets
    for other in others:
        names = live.columns.keys() | other.columns.keys()
        columns = {name: max((live.of_column(name), other.of_column(name)), key=sensitivity) for name in sorted(names)}
        least = max((live.classification, other.classification), key=sensitivity)
        live = Asset(live.name, live.tags, least, columns)
    return live
