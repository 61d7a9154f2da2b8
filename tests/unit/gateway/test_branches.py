"""Who would stop when a generation goes is named: the branches that stand in it, and no other."""

from datetime import UTC, datetime

import pytest

from headrace.contract import load
from headrace.stream.branches import Place
from services.gateway.core.branches import reading
from services.gateway.core.datasets import DatasetVersion

ORIGIN = "shop.orders"


def branch(
    name: str = "shop.large", source: str = f"{{type: dataset, dataset: {ORIGIN}, snapshot: 2}}"
) -> DatasetVersion:
    contract = load(f"dataset: {name}\ndescription: d\nowner: {{team: t}}\nsource: {source}\nkey: [id]\n")
    return DatasetVersion(name, 1, 1, "active", contract.canonical_json(), datetime(2026, 1, 1, tzinfo=UTC), "ann")


def test_branches_that_stand_in_the_generation_are_named() -> None:
    both = [branch("shop.small"), branch("shop.large")]
    places = {each.name: Place(ORIGIN, 3, 2, {"0": 7}) for each in both}
    assert reading(both, places, ORIGIN, 3) == ["shop.large", "shop.small"]


@pytest.mark.parametrize(
    ("place", "source"),
    [
        (None, None),  # it has not begun: it will in the live one
        (Place(ORIGIN, 4, 2, {}), None),
        (Place(ORIGIN, 3, 1, {}), None),  # its snapshot was raised
        (Place("shop.other", 3, 2, {}), None),
        (Place(ORIGIN, 3, 2, {}), "{type: dataset, dataset: shop.other, snapshot: 2}"),
        (Place(ORIGIN, 3, 2, {}), "{type: file, path: a.csv}"),
    ],
)
def test_others_are_not(place: Place | None, source: str | None) -> None:
    one = branch() if source is None else branch(source=source)
    assert reading([one], {one.name: place}, ORIGIN, 3) == []
