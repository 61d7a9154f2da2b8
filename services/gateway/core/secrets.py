"""Decides which datasets need which secrets, and what is missing."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime

from headrace.contract import Contract
from services.gateway.core.datasets import DatasetVersion


@dataclass(frozen=True, slots=True)
class SecretEntry:
    """A secret without its value. Fields: `schemas/secret.avsc`."""

    name: str
    version: int
    key_id: str
    set_at: datetime
    set_by: str
    kept_for: str | None = None


def named_by(contract: Contract) -> frozenset[str]:
    """The secrets that a dataset file names."""
    return contract.source_secrets | contract.transform_secrets


def users(live: Iterable[DatasetVersion]) -> Mapping[str, list[str]]:
    """The datasets that name each secret in any of their generations, in the order of names. What is retired needs none."""
    found: dict[str, list[str]] = defaultdict(list)
    for version in sorted(live, key=lambda each: each.name):
        if version.state != "retired":
            for name in frozenset[str]().union(*(named_by(each.contract()) for each in version.generations)):
                found[name].append(version.name)
    return found


def warnings(contract: Contract, known: Set[str]) -> list[str]:
    """What a person should know who applies a dataset file: nothing of it stands against applying."""
    waiting = {
        "ingest reads the source": contract.source_secrets,
        "the transformer begins": contract.transform_secrets,
    }
    return [
        f"there is no secret {name}: {what} once it is set, with `headrace secret set {name}`"
        for what, names in waiting.items()
        for name in sorted(names - known)
    ]
