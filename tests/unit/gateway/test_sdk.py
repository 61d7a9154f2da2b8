"""Both clients against the gateway itself, served over HTTP from a SQLite database."""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
import uvicorn

from headrace.client import AsyncClient, Client, Invalid, NotAllowed, NotFound, NotSignedIn, Unreachable
from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.adapters.warehouse import Answer, Warehouse
from services.gateway.bootstrap import serve
from services.gateway.core.completeness import Completeness
from services.gateway.gateway import Gateway
from services.gateway.queries import Queries
from tests.unit.gateway.accesses import AT, bearer
from tests.unit.gateway.conftest import ADMIN
from tests.unit.gateway.test_datasets import AIRPORTS, live


class FakeWarehouse:
    """Answers every query with the same row."""

    def query(self, sql: str, limit: int, *more: Any) -> Answer:
        assert (sql, limit) != ("", 0)
        return Answer([("faa", "String"), ("alt", "Int32")], [["JFK", 13]], False, 0.1)


@pytest.fixture
def served(lonely: Gateway) -> Iterator[tuple[str, Gateway]]:
    """The URL of a gateway with a dataset, and a warehouse."""
    warehouse = cast(Warehouse, FakeWarehouse())
    complete = Completeness(AT, AT, 0, ())
    queries = Queries(warehouse, lonely.datasets, lonely.assets, lambda _: complete, {})
    gateway = replace(lonely, warehouse=warehouse, queries=queries)
    with gateway.engine.begin() as connection:
        fold_datasets(connection, live(AIRPORTS).items())
    server = uvicorn.Server(uvicorn.Config(serve(gateway), port=0, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline, "the server has not started"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", gateway
    server.should_exit = True
    thread.join(30)


def test_what_is_asked_is_answered_to_both(served: tuple[str, Gateway]) -> None:
    url, _ = served
    with Client(url, ADMIN) as client:
        assert [each.name for each in client.datasets.list()] == ["nyc.airports"]
        waited = client.query("SELECT faa, alt FROM nyc.airports")
        plan = client.datasets.plan(AIRPORTS)
    assert waited.to_arrow().to_pylist() == [{"faa": "JFK", "alt": 13}]
    assert not plan.changes_something

    async def ask() -> Any:
        async with AsyncClient(url, ADMIN) as client:
            return await asyncio.gather(client.datasets.list(), client.query("SELECT faa, alt FROM nyc.airports"))

    listed, awaited = asyncio.run(ask())
    assert listed[0].name == "nyc.airports"
    assert awaited.rows == waited.rows


def test_accounts_tokens_and_grants_are_made_and_taken_away(served: tuple[str, Gateway]) -> None:
    url, _ = served
    with Client(url, ADMIN) as admin:
        ada = admin.access.add_user("ada", groups=("finance",))
        grant = admin.access.grant("group:finance", "analyst", "dataset:nyc.airports", rows="alt > 0")
        token = admin.tokens.create("notebook", owner="ada")
        with Client(url, token.token) as client:
            assert client.access.me().id == ada.id
            assert [each.name for each in client.datasets.list()] == ["nyc.airports"]
            [access] = admin.access.of_dataset("nyc.airports")
            assert access.sight is not None
            assert (access.user.name, access.because[0].id, len(access.sight.rows or ())) == ("ada", grant.id, 1)
            admin.access.revoke(grant.id)
            with pytest.raises(NotAllowed, match="ask an administrator for a grant"):
                client.datasets.list()
            assert not admin.access.change_user(ada.id, active=False).active
            with pytest.raises(NotSignedIn):
                client.access.me()
        admin.tokens.revoke(token.id)
        admin.access.remove_user(ada.id)
        assert (admin.tokens.list(), admin.access.users(), admin.access.grants()) == ([], [], [])
        assert admin.access.roles().items["analyst"].actions == ("export", "query", "see")


def test_what_is_refused_says_why_and_names_the_request(served: tuple[str, Gateway]) -> None:
    url, gateway = served
    with Client(url, bearer(gateway, "ada", "viewer")) as client:
        with pytest.raises(NotAllowed) as refused:
            client.datasets.apply("nyc.airports", AIRPORTS)
        assert (refused.value.type, len(refused.value.request_id) > 0) == ("urn:headrace:problem:forbidden", True)
        with pytest.raises(NotFound):
            client.datasets.get("nyc/../../x")  # what a user types does not lead elsewhere
    with Client(url, ADMIN) as client, pytest.raises(Invalid) as wrong:
        client.datasets.plan("dataset: nyc.x\nsource: 3\n")
    assert wrong.value.problems


def test_a_gateway_that_is_down_is_said_to_be(served: tuple[str, Gateway]) -> None:
    with Client("http://127.0.0.1:1", ADMIN, retries=1, backoff_s=0) as client, pytest.raises(Unreachable, match=":1"):
        client.datasets.list()
