"""Makes what catalog tests look at: datasets folded into a gateway, and people who may see some of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import insert, update

from headrace.access.book import Caller, Principal
from headrace.access.policy import EVERYTHING, Access, Grant, Role, Scope
from headrace.contract import load
from headrace.stream import topics
from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.adapters.http import access
from services.gateway.adapters.tables import FOLD_OFFSETS
from services.gateway.core.datasets import DatasetVersion, propose
from services.gateway.gateway import Gateway

AT = datetime(2026, 1, 2, tzinfo=UTC)


def fold(gateway: Gateway, *texts: str, by: str = "admin") -> None:
    """Have these files live, each as the next version of its dataset, as if their topic was folded."""
    for text in texts:
        live = gateway.datasets.all()
        version = propose(load(text), live).successor(AT + timedelta(days=len(live)), by)
        _folded(gateway, {version.name: version})


def forget(gateway: Gateway, name: str) -> None:
    """Have a dataset be gone."""
    _folded(gateway, {name: None})


def _folded(gateway: Gateway, versions: Mapping[str, DatasetVersion | None]) -> None:
    at = (FOLD_OFFSETS.c.topic == topics.DATASETS) & (FOLD_OFFSETS.c.partition == 0)
    with gateway.engine.begin() as connection:
        fold_datasets(connection, versions.items())
        moved = connection.execute(update(FOLD_OFFSETS).where(at).values(next_offset=FOLD_OFFSETS.c.next_offset + 1))
        if moved.rowcount == 0:
            connection.execute(insert(FOLD_OFFSETS).values(topic=topics.DATASETS, partition=0, next_offset=1))


def somebody(*grants: tuple[Role, Scope] | Grant, name: str = "ann") -> Caller:
    """Somebody with these grants, or roles in scopes."""
    given = tuple(
        grant if isinstance(grant, Grant) else Grant(str(at), f"user:{name}", *grant) for at, grant in enumerate(grants)
    )
    return Caller(Principal(name, "user", name), Access(given))


ADMINISTRATOR = somebody(("admin", EVERYTHING), name="root")


@contextmanager
def calling(client: TestClient, caller: Caller) -> Iterator[TestClient]:
    """The client as somebody."""
    app = client.app
    assert isinstance(app, FastAPI)
    before: dict[Callable[..., Any], Any] = dict(app.dependency_overrides)
    app.dependency_overrides[access._caller] = lambda: caller
    try:
        yield client
    finally:
        app.dependency_overrides = before
