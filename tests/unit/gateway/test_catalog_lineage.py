"""What a dataset comes from, and who breaks when a column goes: all of them, and no name that somebody may not see."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.access.policy import Scope
from headrace.contract import Contract, load
from services.gateway.core.catalog_lineage import around, broken_by, leaning
from services.gateway.gateway import Gateway
from tests.unit.gateway.catalogs import ADMINISTRATOR, calling, fold, somebody

AIRPORTS = """
dataset: nyc.airports
description: Airports.
owner: {team: mobility}
source: {type: file, path: airports.csv}
key: [faa]
schema: {fields: [{name: faa, logicalType: string}, {name: city, logicalType: string}]}
checks: [{check: length, column: faa, min: 3, max: 3}]
tests: [{name: as_it_is, given: [{faa: JFK, city: NY}], expect: {rows: [{faa: JFK}]}}]
"""
FLIGHTS = """
dataset: nyc.flights
description: Flights.
owner: {team: mobility}
source: {type: file, path: flights.csv}
transform:
  sql: SELECT input.dest, a.city AS dest_city FROM input JOIN ref('nyc.airports') AS a ON a.faa = input.dest
schema: {fields: [{name: dest, logicalType: string}, {name: dest_city, logicalType: string}]}
checks: [{check: not_null, column: dest_city}]
tests: [{name: found, given: [{dest: JFK}], ref: {nyc.airports: [{faa: JFK, city: NY}]}, expect: {rows: [{dest_city: NY}]}}]
"""
PAY = """
dataset: hr.pay
description: Who earns what, where.
owner: {team: people}
source: {type: dataset, dataset: nyc.flights}
transform: {sql: SELECT dest_city AS place FROM input}
schema: {fields: [{name: place, logicalType: string}]}
"""
COSTS = """
dataset: nyc.costs
description: What a place costs.
owner: {team: controlling}
source: {type: model, sql: "SELECT place, count() AS people FROM ref('hr.pay') GROUP BY place"}
load: {mode: replace}
schema: {fields: [{name: place, logicalType: string}, {name: people, logicalType: integer}]}
checks: [{check: not_null, column: place, name: somewhere}]
"""
NYC = somebody(("analyst", Scope("domain", "nyc")))


@pytest.fixture
def catalog(client: TestClient, lonely: Gateway) -> TestClient:
    fold(lonely, AIRPORTS, FLIGHTS, PAY, COSTS)
    return client


def got(client: TestClient, path: str, status: HTTPStatus = HTTPStatus.OK) -> Any:
    response = client.get(f"/api/v1/catalog/{path}")
    assert response.status_code == status, response.text
    return response.json()


def test_lineage_goes_both_ways_with_the_columns_of_each_step(catalog: TestClient) -> None:
    found = got(catalog, "nyc.flights/lineage")
    distances = {node["id"]: node["distance"] for node in found["nodes"]}
    assert distances == {
        "nyc.flights": 0,
        "nyc.airports": -1,
        "hr.pay": 1,
        "nyc.costs": 2,
        "source:nyc.flights": -1,
        "source:nyc.airports": -2,
    }
    edges = {(edge["origin"], edge["reader"]): edge for edge in found["edges"]}
    joined = edges["nyc.airports", "nyc.flights"]
    assert (joined["how"], joined["columns"]) == (
        ["transform"],
        [
            {"origin": "faa", "column": "dest_city", "sure": True},  # it decides which row is joined
            {"origin": "city", "column": "dest_city", "sure": True},
        ],
    )
    assert edges["nyc.flights", "hr.pay"]["columns"] == [{"origin": "dest_city", "column": "place", "sure": True}]
    assert {column["sure"] for column in edges["hr.pay", "nyc.costs"]["columns"]} == {False}
    assert next(node for node in found["nodes"] if node["id"] == "nyc.costs")["kind"] == "model"


def test_lineage_ends_where_it_was_asked_to_and_says_so(catalog: TestClient) -> None:
    up = got(catalog, "nyc.flights/lineage?direction=upstream")
    assert {node["name"] for node in up["nodes"] if node["kind"] != "source"} == {"nyc.flights", "nyc.airports"}
    near = got(catalog, "nyc.airports/lineage?direction=downstream&depth=1")
    assert ({node["id"] for node in near["nodes"]}, near["cut"]) == ({"nyc.airports", "nyc.flights"}, True)
    far = got(catalog, "nyc.airports/lineage?direction=downstream&depth=3")
    assert (len(far["nodes"]), far["cut"]) == (4, False)


def test_impact_tells_all_that_leans_on_a_column(catalog: TestClient) -> None:
    found = got(catalog, "nyc.airports/impact?column=CITY")
    told = {item["dataset"]: item for item in found["items"]}
    assert list(told) == ["nyc.flights", "hr.pay", "nyc.costs"]
    assert (told["nyc.flights"]["columns"], told["nyc.flights"]["checks"]) == (["dest_city"], ["not_null_dest_city"])
    assert told["nyc.flights"]["tests"] == ["found"]
    assert (told["nyc.costs"]["perhaps"], told["nyc.costs"]["checks"]) == (["place", "people"], ["somewhere"])
    assert (found["column"], found["owners"]) == ("city", ["controlling", "mobility", "people"])
    own = got(catalog, "nyc.airports/impact?column=faa")["items"][0]
    assert (own["dataset"], own["checks"], own["tests"], own["settings"]) == (
        "nyc.airports",
        ["length_faa"],
        ["as_it_is"],
        ["key"],
    )
    assert got(catalog, "nyc.costs/impact?column=people")["items"] == []
    assert got(catalog, "nyc.airports/impact?column=none", HTTPStatus.UNPROCESSABLE_ENTITY)["type"].endswith(
        "unknown-column"
    )


@pytest.mark.parametrize(
    "path",
    [
        "nyc.flights/lineage",
        "nyc.costs/lineage?depth=20",
        "nyc.airports/impact",
        "nyc.airports/impact?column=city",
        "nyc.flights/impact?column=dest_city",
    ],
)
def test_a_dataset_that_somebody_may_not_see_is_one_without_a_name(catalog: TestClient, path: str) -> None:
    with calling(catalog, NYC):
        told = json.dumps(got(catalog, path))
    for secret in ("hr.", "pay", "people_", "Who earns", '"people"'):
        assert secret not in told.replace('"column": "people"', "").replace('["place", "people"]', "")
    assert "hidden" in told
    assert "nyc.costs" in told  # what lies behind it is shown
    with calling(catalog, ADMINISTRATOR):
        assert "hr.pay" in json.dumps(got(catalog, path))  # the control


COLUMNS = ("k", "v")
KINDS = st.sampled_from(["join", "check", "branch", "none"])


def made(number: int, kinds: list[str]) -> Contract:
    """A dataset that reads the earlier ones in these ways: `v` comes from those that are joined or branched from."""
    joined = [at for at, kind in enumerate(kinds) if kind == "join"]
    branch = next((at for at, kind in enumerate(kinds) if kind == "branch"), None)
    source = "{type: http_push}" if branch is None else f"{{type: dataset, dataset: d.n{branch}}}"
    joins = " ".join(f"LEFT JOIN ref('d.n{at}') AS r{at} ON r{at}.k = input.k" for at in joined)
    value = " || ".join(["input.v", *(f"r{at}.v" for at in joined)])
    checks = [
        {"check": "references", "column": "k", "dataset": f"d.n{at}", "to": "v"}
        for at, k in enumerate(kinds)
        if k == "check"
    ]
    text = f"""
dataset: d.n{number}
description: A dataset.
owner: {{team: t}}
source: {source}
transform: {{sql: "SELECT input.k, {value} AS v FROM input {joins}"}}
schema: {{fields: [{{name: k, logicalType: string}}, {{name: v, logicalType: string}}]}}
checks: {json.dumps(checks)}
"""
    return load(text)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(KINDS, min_size=5, max_size=5), min_size=2, max_size=6))
def test_impact_is_the_transitive_closure(rows: list[list[str]]) -> None:
    contracts = {f"d.n{at}": made(at, [*kinds[:at]]) for at, kinds in enumerate(rows)}
    reads: dict[int, dict[int, str]] = {}
    for at, kinds in enumerate(rows):
        branched = False
        for parent, kind in enumerate(kinds[:at]):
            if kind == "branch" and branched:
                continue  # a source is one
            branched |= kind == "branch"
            if kind != "none":
                reads.setdefault(at, {})[parent] = kind

    # by hand: who is reached at all, and whose `v` comes from that of the first
    reached, carrying = {0}, {0}
    touched = set()
    for at in range(1, len(rows)):
        for parent, kind in reads.get(at, {}).items():
            if parent in reached:
                reached.add(at)
            if parent in carrying:
                touched.add(at)
                if kind != "check":
                    carrying.add(at)
    graph = around("d.n0", "downstream", 100, contracts.get, lambda _: contracts, lambda _: COLUMNS)
    assert set(graph.distances) == {f"d.n{at}" for at in reached}
    downstream: Mapping[str, Contract] = {name: contracts[name] for name in graph.distances}
    broken = broken_by("d.n0", ["v"], downstream)
    assert {each.dataset for each in broken if each.distance} == {f"d.n{at}" for at in touched}
    assert {each.dataset for each in [*broken, *leaning(graph, "d.n0", broken)]} - {"d.n0"} == set(graph.distances) - {
        "d.n0"
    }
