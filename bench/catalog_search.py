"""How long a search of the catalog takes with many datasets, by what is searched: `python -m bench.catalog_search [DATASETS]`."""

import json
import random
import string
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from typing import Any

from sqlalchemy import insert

from headrace.access.policy import EVERYTHING, Access, Grant, Scope
from headrace.contract import load
from services.gateway.adapters.catalog_reader import CatalogReader
from services.gateway.adapters.database import open_database, upgrade
from services.gateway.adapters.tables import DATASETS, FOLD_OFFSETS, LEDGER_SUMS
from services.gateway.listing import Listing, Wanted

_STARTER = """
dataset: a.b
description: x
owner: {team: t}
source: {type: http_push}
schema: {fields: [{name: c, logicalType: string}]}
"""
_SEARCHES = 200
_COLUMNS = 20


def main(datasets: int) -> None:
    """Print the milliseconds of each kind of search, for somebody who sees everything and somebody who sees a fifth."""
    chance = random.Random(1)
    vocabulary = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(3, 9))) for _ in range(4000)]
    engine = open_database(f"sqlite:///{tempfile.mkdtemp()}/gateway.db")
    upgrade(engine)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    starter = load(_STARTER).canonical_json()
    rows = [_dataset(number, starter, vocabulary, chance, at) for number in range(datasets)]
    sums = [_sums(row["name"], stage, at) for row in rows for stage in ("ingest", "loader")]
    with engine.begin() as connection:
        connection.execute(insert(DATASETS), rows)
        connection.execute(insert(LEDGER_SUMS), sums)
        connection.execute(insert(FOLD_OFFSETS).values(topic="_headrace.datasets", partition=0, next_offset=1))
    listing, now = Listing(CatalogReader(engine)), datetime.now(UTC)
    who = {
        "everything": Access((Grant("g", "user:a", "admin", EVERYTHING),)),
        "a fifth": Access(tuple(Grant(str(n), "user:b", "analyst", Scope("domain", f"d{n}")) for n in range(10))),
    }
    begun = time.perf_counter()
    listing.find(who["everything"], Wanted(), 50, None, now)
    print(f"{datasets:,} datasets read in {time.perf_counter() - begun:.1f} s")
    kinds: dict[str, Callable[[], Wanted]] = {
        "a word": lambda: Wanted(chance.choice(vocabulary)),
        "two words": lambda: Wanted(" ".join(chance.choices(vocabulary, k=2))),
        "two letters": lambda: Wanted(chance.choice(vocabulary)[:2]),
        "misspelt": lambda: Wanted(chance.choice(vocabulary) + "qx"),
        "a tag": lambda: Wanted("", (("tag", (chance.choice(vocabulary[:200]),)),)),
        "the list": Wanted,
    }
    for kind, wanted in kinds.items():
        for sees, access in who.items():
            took = sorted(_took_ms(listing, access, wanted(), now) for _ in range(_SEARCHES))
            print(
                f"{kind:12} {sees:11} median {quantiles(took, n=2)[0]:6.2f} ms, 95 of 100 within {took[-_SEARCHES // 20]:6.2f} ms"
            )


def _took_ms(listing: Listing, access: Access, wanted: Wanted, now: datetime) -> float:
    begun = time.perf_counter()
    listing.find(access, wanted, 50, None, now)
    return (time.perf_counter() - begun) * 1000


def _dataset(number: int, starter: str, vocabulary: list[str], chance: random.Random, at: datetime) -> dict[str, Any]:
    document = json.loads(starter)
    [field] = document["schema"]["fields"]
    document["dataset"] = f"d{number % 50}.{'_'.join(chance.choices(vocabulary, k=2))}_{number}"
    document["description"] = " ".join(chance.choices(vocabulary, k=20))
    document["owner"]["team"] = chance.choice(vocabulary[:60])
    document["tags"] = chance.choices(vocabulary[:200], k=3)
    document["schema"]["fields"] = [
        field
        | {"name": "_".join(chance.choices(vocabulary, k=2)), "description": " ".join(chance.choices(vocabulary, k=5))}
        for _ in range(_COLUMNS)
    ]
    return {
        "name": document["dataset"],
        "version": 1,
        "generation": 1,
        "state": "active",
        "document": json.dumps(document, sort_keys=True, separators=(",", ":")),
        "applied_at": at + timedelta(seconds=number),
        "applied_by": "bench",
    }


def _sums(dataset: str, stage: str, at: datetime) -> dict[str, Any]:
    counts = {column.name: 1 for column in LEDGER_SUMS.c}
    return counts | {"dataset": dataset, "generation": 1, "stage": stage, "partition": 0, "last_commit_at": at}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
