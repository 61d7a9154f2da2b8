"""What somebody finds in the catalog: datasets that they may see, and of those what they may see."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from headrace.access.policy import Grant, Scope
from headrace.contract import load
from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.adapters.incident_store import fold_incidents
from services.gateway.adapters.ledger_store import fold_ledger
from services.gateway.adapters.profile_store import fold_profiles
from services.gateway.core.column_profiles import BatchProfile
from services.gateway.core.datasets import Generation
from services.gateway.gateway import Gateway
from services.gateway.listing import Listing, Wanted
from tests.unit.gateway.books import entry
from tests.unit.gateway.catalogs import AT, calling, fold, forget, somebody
from tests.unit.gateway.test_incidents import stopped

AIRPORTS = """
dataset: nyc.airports
description: Where planes land.
owner: {team: mobility, members: [{username: ann@example.org}]}
tags: [reference, geo]
source: {type: file, path: airports.csv}
key: [faa]
schema:
  fields:
    - {name: faa, logicalType: string, required: true, description: The code., examples: [JFK]}
    - {name: tower_phone, logicalType: string, classification: restricted, examples: [+1 718 656]}
"""
FLIGHTS = """
dataset: nyc.flights
description: Departures, see hr.salaries for what pilots earn.
owner: {team: mobility}
tags: [finance]
source: {type: file, path: flights.csv}
checks: [{check: references, column: dest, dataset: nyc.airports, to: faa}]
sla: [{property: freshness, value: 1, unit: h}]
"""
SALARIES = """
dataset: hr.salaries
description: What people earn.
owner: {team: people}
classification: restricted
source: {type: http_push}
schema: {fields: [{name: amount, logicalType: number, examples: [123456]}]}
"""
BONUSES = """
dataset: nyc.bonuses
description: Who gets more.
owner: {team: mobility}
source: {type: http_push}
transform: {sql: "SELECT input.* , s.amount FROM input JOIN ref('hr.salaries') AS s ON s.amount = input.amount"}
tests:
  - {name: as_is, given: [{amount: 777111}], ref: {hr.salaries: [{amount: 777111}]}, expect: {rows: [{amount: 777111}]}}
"""
NYC = Scope("domain", "nyc")


@pytest.fixture
def catalog(client: TestClient, lonely: Gateway) -> TestClient:
    fold(lonely, AIRPORTS, FLIGHTS, SALARIES)
    return client


def got(client: TestClient, path: str, status: HTTPStatus = HTTPStatus.OK) -> Any:
    response = client.get(f"/api/v1/catalog{path}")
    assert response.status_code == status, response.text
    return response.json()


def names(client: TestClient, query: str = "") -> list[str]:
    return [item["name"] for item in got(client, query)["items"]]


def test_a_dataset_is_listed_as_soon_as_it_is_live_and_no_longer_than_that(
    catalog: TestClient, lonely: Gateway
) -> None:
    assert names(catalog) == ["hr.salaries", "nyc.airports", "nyc.flights"]
    forget(lonely, "nyc.flights")
    assert names(catalog) == ["hr.salaries", "nyc.airports"]
    fold(lonely, AIRPORTS.replace("Where planes land", "Fields for aircraft"))
    assert names(catalog, "?q=aircraft") == ["nyc.airports"]
    assert names(catalog, "?q=planes") == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("flights", ["nyc.flights"]),
        ("NYC.Flights", ["nyc.flights"]),
        ("flig", ["nyc.flights"]),
        ("fligths", ["nyc.flights"]),  # none has that word
        ("tower phone", ["nyc.airports"]),  # a column
        ("geo", ["nyc.airports"]),  # a tag
        ("ann@example.org", ["nyc.airports"]),  # who answers for it
        ("mobility depart", ["nyc.flights"]),  # every word, anywhere
        ("mobility earn", ["nyc.flights"]),
        ("salaries", ["hr.salaries", "nyc.flights"]),  # the name counts more than a mention
        ("zzzzzz", []),
        ("%", []),
    ],
)
def test_words_are_looked_for_everywhere_and_what_fits_best_comes_first(
    catalog: TestClient, query: str, found: list[str]
) -> None:
    assert names(catalog, f"?q={query.replace('%', '%25').replace('+', '%2B')}") == found


def test_facets_narrow_and_count_what_else_there_is_to_choose(catalog: TestClient) -> None:
    page = got(catalog, "?domain=nyc&tag=geo&tag=finance")
    assert [item["name"] for item in page["items"]] == ["nyc.airports", "nyc.flights"]
    assert page["facets"]["domain"] == [{"value": "nyc", "count": 2}]  # of those with the tags
    assert {each["value"]: each["count"] for each in page["facets"]["tag"]} == {"finance": 1, "geo": 1, "reference": 1}
    assert names(catalog, "?classification=restricted") == ["hr.salaries"]
    assert names(catalog, "?domain=nyc&domain=hr&owner=people") == ["hr.salaries"]
    assert names(catalog, "?domain=nowhere") == []


def test_pages_go_on_where_they_ended_whatever_came_or_went(catalog: TestClient, lonely: Gateway) -> None:
    first = got(catalog, "?limit=1&sort=name")
    assert ([item["name"] for item in first["items"]], first["total"]) == (["hr.salaries"], 3)
    forget(lonely, "hr.salaries")
    second = got(catalog, f"?limit=1&sort=name&cursor={first['next_cursor']}")
    assert [item["name"] for item in second["items"]] == ["nyc.airports"]
    last = got(catalog, f"?limit=1&sort=name&cursor={second['next_cursor']}")
    assert ([item["name"] for item in last["items"]], last["next_cursor"]) == (["nyc.flights"], None)
    assert names(catalog, "?sort=changed") == ["nyc.flights", "nyc.airports"]
    for bad in ("x", "W10", "bnVsbA", "%22"):
        assert got(catalog, f"?cursor={bad}", HTTPStatus.BAD_REQUEST)["type"].endswith("bad-cursor")


def test_state_and_freshness_follow_what_was_loaded_and_what_stands_open(catalog: TestClient, lonely: Gateway) -> None:
    def flights(now: datetime) -> tuple[str, str]:
        listing = Listing(lonely.catalog.reader)
        listed = listing.get(somebody(("viewer", NYC)).access, "nyc.flights", now)
        assert listed is not None
        return listed.state, listed.freshness

    assert flights(AT) == ("new", "empty")
    with lonely.engine.begin() as connection:
        fold_ledger(connection, [entry("loader", {(0, 0)}, at=AT)])
    assert flights(AT + timedelta(minutes=59)) == ("running", "fresh")
    assert flights(AT + timedelta(minutes=61)) == ("running", "late")
    incident = stopped("ingest", AT + timedelta(days=9), "nyc.flights")
    with lonely.engine.begin() as connection:
        fold_incidents(connection, [("1", incident)])
    assert flights(AT)[0] == "stopped"
    with lonely.engine.begin() as connection:
        fold_ledger(connection, [entry("ingest", {(1, 0)}, at=AT + timedelta(days=10))])
    assert flights(AT)[0] == "running"  # it has done since what had come to a stop
    with lonely.engine.begin() as connection:
        fold_incidents(
            connection,
            [("1", replace(incident, id="source_down/ingest", type="source_down", at=AT + timedelta(days=11)))],
        )
    assert flights(AT)[0] == "down"


def test_the_schema_has_declared_columns_and_those_found_in_the_rows(catalog: TestClient, lonely: Gateway) -> None:
    with lonely.engine.begin() as connection:
        fold_profiles(
            connection, [("nyc.airports", batch(faa=("string", "ABQ", "JFK"), lat=("double", "30.5", "40.6")))]
        )
    page = got(catalog, "/nyc.airports")
    assert [(column["name"], column["type"], column["declared"]) for column in page["schema"]] == [
        ("faa", "string", True),
        ("tower_phone", "string", True),
        ("lat", "double", False),
    ]
    faa = page["schema"][0]
    assert (faa["key"], faa["required"], faa["examples"], faa["profile"]["max"]) == (True, True, ["JFK"], "JFK")
    assert page["schema"][1]["profile"] is None
    assert names_by(lonely, "lat") == ["nyc.airports"]


def names_by(gateway: Gateway, words: str) -> list[str]:
    from services.gateway.listing import Wanted

    found = Listing(gateway.catalog.reader).find(somebody(("viewer", NYC)).access, Wanted(words), 10, None, AT)
    return [listed.entry.name for listed in found.items]


def batch(dataset: str = "nyc.airports", rows: int = 10, **columns: tuple[str, str, str]) -> BatchProfile:
    told = [
        {"name": name, "type": kind, "nulls": 1, "distinct": 9, "min": least, "max": greatest, "flagged": 0}
        for name, (kind, least, greatest) in columns.items()
    ]
    return BatchProfile(dataset, 1, 1, rows, datetime.now(UTC), told)


@pytest.mark.parametrize(
    ("caller", "shown"),
    [
        (somebody(("admin", NYC)), {"faa", "tower_phone"}),
        (somebody(("analyst", NYC)), {"faa"}),  # the other is above their clearance
        (somebody(("viewer", NYC)), set()),  # they may not ask for rows
        (somebody(Grant("g", "user:ann", "admin", NYC, rows="faa <> 'JFK'")), set()),  # not of every row
    ],
)
def test_values_are_shown_to_those_who_see_them_in_every_row(
    catalog: TestClient, lonely: Gateway, caller: Any, shown: set[str]
) -> None:
    kind = ("string", "the-least", "the-greatest")
    with lonely.engine.begin() as connection:
        fold_profiles(connection, [("nyc.airports", batch(faa=kind, tower_phone=kind))])
    with calling(catalog, caller):
        page = got(catalog, "/nyc.airports")
        contract = json.dumps(got(catalog, "/nyc.airports/contract"))
    for column in page["schema"]:
        seen = column["name"] in shown
        assert column["hidden"] is not seen
        assert bool(column["examples"]) is seen
        assert (column["profile"]["min"] == "the-least") is seen
        assert column["profile"]["null_share"] == 0.1
    assert ("JFK" in contract) is ("faa" in shown)
    assert ("+1 718 656" in contract) is ("tower_phone" in shown)


def test_what_somebody_may_not_see_is_named_nowhere(catalog: TestClient, lonely: Gateway) -> None:
    fold(lonely, BONUSES)
    fold(lonely, BONUSES.replace("Who gets more", "Who gets more than hr.salaries says"))
    paths = [
        "",
        "?q=salaries",
        "?q=earn",
        "?tag=finance",
        *(f"/nyc.bonuses{more}" for more in ("", "/versions", "/contract")),
    ]
    paths += ["/nyc.flights", "/nyc.flights/contract", "/nyc.bonuses/contract?format=yaml"]

    def everything() -> str:
        return "".join(catalog.get(f"/api/v1/catalog{path}").text for path in paths)

    with calling(catalog, somebody(("analyst", NYC))):
        told = everything()
        assert "salaries" not in told.replace("/catalog?q=salaries", "")
        assert "a dataset you may not see" in told
        assert names(catalog) == ["nyc.airports", "nyc.bonuses", "nyc.flights"]
        assert {each["value"] for each in got(catalog, "")["facets"]["owner"]} == {"mobility"}
        for path in ("", "/versions", "/contract", "/storage"):
            got(catalog, f"/hr.salaries{path}", HTTPStatus.NOT_FOUND)
    assert everything().count("hr.salaries") > 5  # the control: it is there for one who may see it


def test_versions_tell_what_each_changed_and_by_whom(catalog: TestClient, lonely: Gateway) -> None:
    fold(lonely, AIRPORTS.replace("[reference, geo]", "[reference]"), by="bea")
    fold(lonely, AIRPORTS.replace("JFK", "LGA"), by="cid")
    found = got(catalog, "/nyc.airports/versions")["items"]
    assert [(each["version"], each["applied_by"]) for each in found] == [(3, "cid"), (2, "bea"), (1, "admin")]
    assert [change["path"] for change in found[1]["changes"]] == ["tags"]
    assert (found[1]["changes"][0]["before"], found[1]["changes"][0]["after"]) == (["reference", "geo"], ["reference"])
    assert "LGA" in json.dumps(found[0])
    page = got(catalog, "/nyc.airports/versions?limit=1")
    assert (page["next_before"], len(page["items"][0]["changes"])) == (3, 2)  # against the one before, on whatever page
    assert [each["version"] for each in got(catalog, "/nyc.airports/versions?before=3")["items"]] == [2, 1]
    with calling(catalog, somebody(("viewer", NYC))):
        assert "LGA" not in json.dumps(got(catalog, "/nyc.airports/versions"))


def test_the_contract_comes_as_the_standard_writes_it(catalog: TestClient) -> None:
    told = got(catalog, "/nyc.airports/contract")
    assert (told["kind"], told["id"]) == ("DataContract", "nyc.airports")
    response = catalog.get("/api/v1/catalog/nyc.airports/contract?format=yaml")
    assert response.headers["content-type"].startswith("application/yaml")
    assert "id: nyc.airports" in response.text


def test_storage_says_of_each_place_what_is_not_known(catalog: TestClient) -> None:
    tiers = got(catalog, "/nyc.airports/storage")["items"]
    assert [tier["tier"] for tier in tiers] == [
        *("raw", "staged", "transformed", "validated", "quarantine"),
        *("lake", "warehouse"),
    ]
    assert all(tier["detail"] for tier in tiers)
    assert tiers[0]["bytes_read"] == 0


def test_the_policy_knows_a_dataset_as_it_does_everywhere_else(catalog: TestClient, lonely: Gateway) -> None:
    beside = Generation(
        2, 2, "candidate", load(AIRPORTS.replace("restricted", "public")).canonical_json(), AT, "b", "", AT, "b", ""
    )
    with lonely.engine.begin() as connection:
        fold_datasets(connection, [("nyc.airports", replace(lonely.datasets.all()["nyc.airports"], beside=(beside,)))])
    entries = Listing(lonely.catalog.reader).entries()
    assert {name: each.asset for name, each in entries.items()} == lonely.assets.all()
    assert entries["nyc.airports"].asset.of_column("tower_phone") == "restricted"


def test_the_file_of_a_dataset_shows_no_more_than_the_catalog(client: TestClient, lonely: Gateway) -> None:
    fold(lonely, AIRPORTS, FLIGHTS, SALARIES, BONUSES)

    def file(name: str) -> str:
        return str(client.get(f"/api/v1/datasets/{name}").json()["document"])

    whole = {name: file(name) for name in ("nyc.airports", "nyc.bonuses", "nyc.flights")}
    with calling(client, somebody(("analyst", NYC))):
        part = {name: file(name) for name in whole}
    for name, secret, kept in (
        ("nyc.airports", "718 656", "JFK"),
        ("nyc.bonuses", "hr.salaries", "Who gets more"),
        ("nyc.flights", "hr.salaries", "nyc.airports"),
    ):
        assert secret in whole[name], "the control: who sees everything"
        assert secret not in part[name]
        assert kept in part[name]
    with calling(client, somebody(("viewer", NYC))):
        assert "777111" not in file("nyc.bonuses")


@pytest.mark.parametrize("part", ["entries", "facts"])
def test_a_database_that_fails_amid_the_reading_leaves_nothing_half_known(
    lonely: Gateway, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    fold(lonely, AIRPORTS, FLIGHTS)
    listing, nyc = Listing(lonely.catalog.reader, facts_kept_s=0), somebody(("viewer", NYC)).access

    def seen() -> list[str]:
        return [each.entry.name for each in listing.find(nyc, Wanted(sort="name"), 10, None, AT).items]

    def failing(*_: object) -> None:
        raise OperationalError("select", {}, Exception("the database is away"))

    assert seen() == ["nyc.airports", "nyc.flights"]
    forget(lonely, "nyc.flights")
    fold(lonely, SALARIES)  # has the place in the index that the other had
    with monkeypatch.context() as patched:
        patched.setattr(type(lonely.catalog.reader), part, failing)
        with pytest.raises(OperationalError):
            seen()
    assert seen() == ["nyc.airports"]
