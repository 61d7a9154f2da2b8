"""Decides what the catalog knows of a dataset from its file alone, without the cost of validating the file once more."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from headrace.access.policy import Asset
from headrace.contract.fields import Classification

#: How a dataset is named wherever a file names one.
DATASET_NAME: Final = re.compile(r"(?<![A-Za-z0-9_.])[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*(?![A-Za-z0-9_])")
_SECONDS: Final = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
}


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """A column that the file declares."""

    name: str
    type: str
    required: bool
    description: str
    classification: Classification
    tags: tuple[str, ...]
    examples: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A dataset as the catalog lists it.

    `fresh_within_s`: how old its newest row may be, by the narrowest promise of freshness; None without one. `mentions` are the
    names in its file that can be those of other datasets. `asset` is it as the policy knows it. Units: seconds.
    """

    name: str
    version: int
    generation: int
    state: str
    changed_at: datetime
    changed_by: str
    description: str
    owner: str
    people: tuple[str, ...]
    tags: tuple[str, ...]
    classification: Classification
    source: str
    mode: str
    columns: tuple[CatalogColumn, ...]
    promises: tuple[Mapping[str, Any], ...]
    fresh_within_s: float | None
    mentions: frozenset[str]
    asset: Asset

    @property
    def domain(self) -> str:
        """The part of its name before the point."""
        return self.name.partition(".")[0]


def entry_of(row: Mapping[str, Any], document: Mapping[str, Any], asset: Asset) -> CatalogEntry:
    """The entry of a dataset. `row`: what is stored of it; `document`: its canonical file, which is in the row as text."""
    classification = document["classification"]
    owner = document["owner"]
    live_since = row["live_since"]
    columns = tuple(_columns(document["schema"]["fields"], classification))
    promised = [seconds for promise in document["sla"] if (seconds := _freshness_s(promise)) is not None]
    return CatalogEntry(
        name=row["name"],
        version=row["version"],
        generation=row["generation"],
        state=row["state"],
        changed_at=row["applied_at"] if live_since is None else max(row["applied_at"], live_since),
        changed_by=row["live_by"] or row["applied_by"],
        description=document["description"],
        owner=owner["team"],
        people=tuple(word for member in owner["members"] for word in (member["username"], member.get("name")) if word),
        tags=tuple(document["tags"]),
        classification=classification,
        source=document["source"]["type"],
        mode=document["load"]["mode"],
        columns=columns,
        promises=tuple(document["sla"]),
        fresh_within_s=min(promised, default=None),
        mentions=frozenset(DATASET_NAME.findall(row["document"])) - {row["name"]},
        asset=asset,
    )


def _columns(fields: Iterable[Mapping[str, Any]], classification: Classification) -> Iterable[CatalogColumn]:
    for field in fields:
        yield CatalogColumn(
            name=field["name"],
            type=field.get("physicalType") or field["logicalType"],
            required=field["required"],
            description=field.get("description") or "",
            classification=field.get("classification") or classification,
            tags=tuple(field["tags"]),
            examples=tuple(field["examples"]),
        )


def _freshness_s(promise: Mapping[str, Any]) -> float | None:
    value, unit = promise["value"], _SECONDS.get(str(promise.get("unit") or "s").lower())
    if promise["property"] != "freshness" or unit is None or isinstance(value, str):
        return None
    return float(value) * unit
