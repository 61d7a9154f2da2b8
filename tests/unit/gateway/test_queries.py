"""Queries over the API, each dataset as the caller sees it. The warehouse is ClickHouse in this process."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, cast

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from headrace.access.policy import Role
from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.adapters.warehouse import Answer, QueryError, Warehouse
from services.gateway.bootstrap import serve
from services.gateway.core.completeness import Completeness
from services.gateway.core.visible import NEEDED
from services.gateway.gateway import Gateway
from services.gateway.queries import Queries
from tests.unit.gateway.accesses import bearer, headers
from tests.unit.gateway.policed import Engine
from tests.unit.gateway.test_datasets import live

FLIGHTS = """
dataset: nyc.flights
description: Flights.
owner: {team: mobility}
source: {type: file, path: flights.csv}
schema:
  fields:
    - {name: id, logicalType: integer}
    - {name: tenant, logicalType: string}
    - {name: name, logicalType: string, classification: confidential}
    - {name: n, logicalType: integer}
    - {name: note, logicalType: string}
"""
PLANES = FLIGHTS.replace("nyc.flights", "nyc.planes").replace(", classification: confidential", "")
AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
LIMITS = {"max_execution_time": 5}


class Embedded:
    """The warehouse, as `Queries` asks it. `asked` is what came to it."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.asked: list[str] = []
        self.needed: list[Mapping[str, str]] = []

    def query(
        self,
        sql: str,
        limit: int,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, int] | None = None,
        needed: Mapping[str, str] | None = None,
    ) -> Answer:
        if "system.columns" in sql and parameters is not None:
            for name, value in parameters.items():
                sql = sql.replace(f"{{{name}:String}}", f"'{value}'")
        else:
            self.asked.append(sql)
            self.needed.append(needed or {})
            assert settings == LIMITS
        try:
            self.engine.session.query(sql, "TSV")  # in other formats an error can be among the rows
            found = self.engine.session.query(sql, "Arrow").bytes()
        except Exception as error:
            message = str(error)
            raise QueryError(message, int(message.partition("Code: ")[2].partition(".")[0])) from error
        table = pa.ipc.open_file(pa.BufferReader(found)).read_all()
        rows = [list(row.values()) for row in table.to_pylist()]
        columns = [(field.name, str(field.type)) for field in table.schema]
        return Answer(columns, rows[:limit], len(rows) > limit, 1.0)


@pytest.fixture(scope="module")
def embedded() -> Embedded:
    return Embedded()


@pytest.fixture
def gateway(lonely: Gateway, embedded: Embedded) -> Gateway:
    with lonely.engine.begin() as connection:
        fold_datasets(connection, live(FLIGHTS, PLANES).items())
    complete = Completeness(AT, AT, 0, ())
    queries = Queries(cast(Warehouse, embedded), lonely.datasets, lonely.assets, lambda _: complete, LIMITS)
    return replace(lonely, queries=queries)


@pytest.fixture
def api(gateway: Gateway) -> TestClient:
    return TestClient(serve(gateway), raise_server_exceptions=False)


def ask(api: TestClient, token: str, sql: str, **more: Any) -> Any:
    return api.post("/api/v1/query", json={"sql": sql, **more}, headers=headers(token))


def test_each_sees_their_part_and_is_told_that_it_is_one(api: TestClient, gateway: Gateway, embedded: Embedded) -> None:
    analyst = bearer(gateway, "ana", "analyst", "dataset:nyc.flights", rows="(tenant = 'a')")
    owner = bearer(gateway, "olga", "admin")
    sql = "select count(), uniqExact(name) from nyc.flights"
    part, whole = ask(api, analyst, sql).json(), ask(api, owner, sql).json()
    assert (list(map(int, part["rows"][0])), list(map(int, whole["rows"][0]))) == ([4, 0], [6, 5])
    assert [(each["dataset"], each["partial"]) for each in part["datasets"]] == [("nyc.flights", True)]
    assert [each["partial"] for each in whole["datasets"]] == [False]
    assert whole["datasets"][0]["complete_through"] == "2026-11-27T12:00:00Z"
    assert embedded.needed[-1] == NEEDED


@pytest.mark.parametrize("role", ["viewer", None])
def test_who_may_not_query_is_told_so(api: TestClient, gateway: Gateway, role: Role | None) -> None:
    token = bearer(gateway, "vera", role)
    assert ask(api, token, "select 1").status_code == HTTPStatus.FORBIDDEN


def test_what_somebody_may_not_query_is_no_dataset_to_them(api: TestClient, gateway: Gateway) -> None:
    token = bearer(gateway, "ana", "analyst", "dataset:nyc.flights")
    hidden = ask(api, token, "select * from nyc.planes")
    missing = ask(api, token, "select * from nyc.absent")
    assert hidden.status_code == missing.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert hidden.json()["detail"].replace("planes", "absent") == missing.json()["detail"]


@pytest.mark.parametrize("table", ["nyc.flights__g1", "nyc.flights__quarantine"])
def test_the_tables_beside_a_dataset_are_for_those_who_see_all_of_it(
    api: TestClient, gateway: Gateway, table: str
) -> None:
    part = bearer(gateway, "ana", "analyst")
    owner = bearer(gateway, "olga", "admin")
    assert "not a dataset's table" in ask(api, part, f"select count() from {table}").json()["detail"]
    told = ask(api, owner, f"select count() from {table}")
    assert told.status_code == HTTPStatus.OK or "UNKNOWN_TABLE" in told.json()["detail"]


def test_the_books_of_what_shows_say_nothing_of_the_tables_beside_it(api: TestClient, gateway: Gateway) -> None:
    owner = bearer(gateway, "olga", "admin")
    (beside,) = ask(api, owner, "select count() from nyc.flights__g1").json()["datasets"]
    assert (beside["complete_through"], len(beside["waiting_for"])) == (None, 1)
    (shown,) = ask(api, owner, "select count() from nyc.flights").json()["datasets"]
    assert (shown["complete_through"], shown["waiting_for"]) == ("2026-11-27T12:00:00Z", [])  # the control


def test_an_error_of_the_engine_tells_no_value_to_who_sees_a_part(api: TestClient, gateway: Gateway) -> None:
    part = bearer(gateway, "ana", "analyst", rows="(tenant = 'a')", clearance="confidential")
    owner = bearer(gateway, "olga", "admin")
    sql = "select toInt32(concat(name, 'x')) from nyc.flights"
    open_words, few_words = (ask(api, token, sql).json()["detail"] for token in (owner, part))
    assert "11x" in open_words
    assert "11x" not in few_words
    assert "tenant" not in few_words
    assert few_words.startswith("CANNOT_PARSE_TEXT, code 6")
    unknown = ask(api, part, "select nme from nyc.flights").json()["detail"]
    assert "UNKNOWN_IDENTIFIER, code 47: there is no such column (nme)" in unknown


def test_a_view_that_has_changed_is_looked_at_again(api: TestClient, gateway: Gateway, embedded: Embedded) -> None:
    part = bearer(gateway, "ana", "analyst", rows="(tenant = 'a')")
    assert ask(api, part, "select count() from nyc.planes").status_code == HTTPStatus.OK
    session = embedded.engine.session
    try:
        session.query("CREATE OR REPLACE VIEW nyc.planes AS SELECT id, tenant, n AS number FROM nyc.planes__g1")
        found = ask(api, part, "select sum(number) from nyc.planes").json()
        assert [int(value) for value in found["rows"][0]] == [23]
    finally:
        session.query("CREATE OR REPLACE VIEW nyc.planes AS SELECT * FROM nyc.planes__g1")


def test_a_row_filter_that_cannot_be_one_is_not_granted(api: TestClient, gateway: Gateway) -> None:
    owner = bearer(gateway, "olga", "admin")
    bearer(gateway, "ana", None)
    body = {"to": "user:ana", "role": "analyst", "scope": "dataset:nyc.flights"}
    for rows, said in (("tennant = 'a'", "no column tennant"), ("count() > 1", "about several")):
        told = api.post("/api/v1/grants", json={**body, "rows": rows}, headers=headers(owner))
        assert told.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert said in told.json()["detail"]
    granted = api.post("/api/v1/grants", json={**body, "rows": "tenant = 'a' and _offset >= 0"}, headers=headers(owner))
    assert granted.status_code == HTTPStatus.CREATED


def test_the_control_the_engine_has_values_in_its_words(embedded: Embedded) -> None:
    with pytest.raises(QueryError, match="secret"):
        embedded.query("SELECT toInt32(name) FROM nyc.flights", 10, settings=LIMITS)
