"""What people do with datasets, and write beside their files: each their own, nothing lost, texts as they were written."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from headrace.access.policy import Grant, Scope
from services.gateway.adapters.usage_store import Usage
from services.gateway.adapters.warehouse import Answer, Warehouse
from services.gateway.bootstrap import serve
from services.gateway.core.texts import plain_text
from services.gateway.gateway import Gateway
from tests.unit.gateway.catalogs import calling, fold, somebody
from tests.unit.gateway.conftest import ADMIN
from tests.unit.gateway.test_catalog import AIRPORTS, SALARIES

NYC = Scope("domain", "nyc")
ANN, BEA = somebody(("analyst", NYC), name="ann"), somebody(("analyst", NYC), name="bea")
VIEWER = somebody(("viewer", NYC), name="vic")
PATH = "/api/v1/catalog/nyc.airports"
XSS = "<script>alert(1)</script> <img src=x onerror=alert(2)> {{7*7}} javascript:alert(3)"


@pytest.fixture
def catalog(client: TestClient, lonely: Gateway) -> TestClient:
    fold(lonely, AIRPORTS, SALARIES)
    return client


def sent(client: TestClient, method: str, path: str, body: Any = None, status: HTTPStatus = HTTPStatus.OK) -> Any:
    response = client.request(method, f"{PATH}{path}", json=body)
    assert response.status_code == status, response.text
    return response.json() if response.content else None


def test_favourites_are_of_whoever_marked_them(catalog: TestClient) -> None:
    def mine() -> list[str]:
        return [item["name"] for item in catalog.get("/api/v1/catalog?favourites=true").json()["items"]]

    with calling(catalog, ANN):
        assert mine() == []
        sent(catalog, "PUT", "/favourite", status=HTTPStatus.NO_CONTENT)
        sent(catalog, "PUT", "/favourite", status=HTTPStatus.NO_CONTENT)
        assert mine() == ["nyc.airports"]
        assert sent(catalog, "GET", "")["favourite"]
    with calling(catalog, BEA):
        assert mine() == []
        assert not sent(catalog, "GET", "")["favourite"]
        sent(catalog, "DELETE", "/favourite", status=HTTPStatus.NO_CONTENT)
    with calling(catalog, ANN):
        assert mine() == ["nyc.airports"]
        sent(catalog, "DELETE", "/favourite", status=HTTPStatus.NO_CONTENT)
        assert mine() == []
        assert catalog.put("/api/v1/catalog/hr.salaries/favourite").status_code == HTTPStatus.NOT_FOUND


def test_a_note_is_found_and_every_state_of_it_is_kept(catalog: TestClient) -> None:
    with calling(catalog, ANN):
        first = sent(catalog, "PUT", "/notes", {"column": "faa", "text": "Three letters, by the FAA quagmire."})
        sent(catalog, "PUT", "/notes", {"text": "About everything."})
    with calling(catalog, BEA):
        page = sent(catalog, "GET", "")
        assert (page["note"], page["schema"][0]["note"]) == ("About everything.", "Three letters, by the FAA quagmire.")
        found = catalog.get("/api/v1/catalog?q=quagmire").json()["items"]
        assert [item["name"] for item in found] == ["nyc.airports"]
        second = sent(catalog, "PUT", "/notes", {"column": "faa", "text": "Wrong.", "over": first["id"]})
        undone = sent(catalog, "POST", "/notes/undo", {"column": "faa", "over": second["id"]})
        assert undone["text"] == first["text"]
        again = sent(catalog, "POST", "/notes/undo", {"column": "faa", "over": undone["id"]})
        assert again["text"] == "Wrong."
    history = sent(catalog, "GET", "/notes?column=faa")["items"]
    assert [(each["by"], each["text"]) for each in history] == [
        ("bea", "Wrong."),
        ("bea", first["text"]),
        ("bea", "Wrong."),
        ("ann", first["text"]),
    ]
    with calling(catalog, ANN):
        sent(catalog, "PUT", "/notes", {"column": "faa", "text": ""})
    assert sent(catalog, "GET", "")["schema"][0]["note"] == ""
    assert catalog.get("/api/v1/catalog?q=quagmire").json()["items"] == []


def test_nobody_writes_over_what_they_have_not_seen(catalog: TestClient) -> None:
    conflict = HTTPStatus.CONFLICT
    with calling(catalog, ANN):
        sent(catalog, "POST", "/notes/undo", {"over": 1}, conflict)
        first = sent(catalog, "PUT", "/notes", {"text": "one", "over": 0})
        sent(catalog, "PUT", "/notes", {"text": "two", "over": 0}, conflict)
        sent(catalog, "PUT", "/notes", {"text": "two", "over": first["id"]})
        sent(catalog, "POST", "/notes/undo", {"over": first["id"]}, conflict)
        assert sent(catalog, "GET", "")["note"] == "two"
    with calling(catalog, VIEWER):
        assert sent(catalog, "GET", "/notes")["items"][0]["text"] == "two"
        sent(catalog, "PUT", "/notes", {"text": "three"}, HTTPStatus.FORBIDDEN)


def test_of_those_who_write_over_the_same_state_one_succeeds(lonely: Gateway) -> None:
    notes, at = lonely.catalog.notes, datetime.now(UTC)

    def write(number: int, over: int | None) -> bool:
        return notes.write("a.b", "", f"by {number}", "p", "p", at, over) is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda number: write(number, 0), range(8))) == 1
        assert sum(pool.map(lambda number: write(number, None), range(8))) == 8  # the control: without saying over what
    assert len(notes.history("a.b", "", 100)) == 9


def test_people_ask_reply_and_resolve_and_change_only_what_is_theirs(catalog: TestClient) -> None:
    created, forbidden = HTTPStatus.CREATED, HTTPStatus.FORBIDDEN
    with calling(catalog, ANN):
        thread = sent(catalog, "POST", "/threads", {"column": "faa", "text": "Is it unique?"}, created)
        mine = f"/threads/{thread['id']}"
    question = thread["remarks"][0]["id"]
    with calling(catalog, VIEWER):
        replied = sent(catalog, "POST", f"{mine}/remarks", {"text": "It is."}, created)
        assert [(each["by"], each["text"], each["yours"]) for each in replied["remarks"]] == [
            ("ann", "Is it unique?", False),
            ("vic", "It is.", True),
        ]
        sent(catalog, "PUT", f"{mine}/remarks/{question}", {"text": "Is it not?"}, forbidden)
        sent(catalog, "DELETE", f"{mine}/remarks/{question}", status=forbidden)
        resolved = sent(catalog, "PUT", f"{mine}/resolution")
        assert (resolved["resolved_by"], resolved["resolved_at"] is None) == ("vic", False)
    with calling(catalog, ANN):
        other = sent(catalog, "POST", "/threads", {"text": "Another."}, created)
        assert [each["id"] for each in sent(catalog, "GET", "/threads")["items"]] == [other["id"], thread["id"]]
        edited = sent(catalog, "PUT", f"{mine}/remarks/{question}", {"text": "Is it a key?"})
        assert edited["remarks"][0]["text"] == "Is it a key?"
        assert edited["remarks"][0]["edited_at"]
        gone = sent(catalog, "DELETE", f"{mine}/remarks/{question}")
        assert (gone["remarks"][0]["text"], gone["remarks"][0]["deleted"], len(gone["remarks"])) == ("", True, 2)
        sent(catalog, "PUT", f"{mine}/remarks/{question}", {"text": "Back."}, HTTPStatus.NOT_FOUND)
        assert sent(catalog, "POST", f"{mine}/remarks", {"text": "Why?"}, created)["resolved_at"] is None
        sent(catalog, "PUT", f"{mine}/resolution")
        assert sent(catalog, "DELETE", f"{mine}/resolution")["resolved_at"] is None
        sent(catalog, "GET", "/threads/0", status=HTTPStatus.NOT_FOUND)
        assert catalog.get("/api/v1/catalog/hr.salaries/threads").status_code == HTTPStatus.NOT_FOUND
    other_dataset = catalog.post(f"/api/v1/catalog/hr.salaries{mine}/remarks", json={"text": "From elsewhere"})
    assert other_dataset.status_code == HTTPStatus.NOT_FOUND  # a thread is one of its dataset


def test_a_text_comes_back_as_it_was_written_and_as_data(catalog: TestClient) -> None:
    written = f"{XSS}\n\tÄ 漢 🎉 \u200d"
    sent(catalog, "PUT", "/notes", {"text": written})
    sent(catalog, "POST", "/threads", {"text": written}, HTTPStatus.CREATED)
    assert sent(catalog, "GET", "")["note"] == written
    response = catalog.get(f"{PATH}/threads")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["items"][0]["remarks"][0]["text"] == written


@pytest.mark.parametrize("bad", ["a\x00b", "a\x1b[31mred", "\x7f", "\u202eevil", "\x85", "\r\n"])
def test_characters_that_nobody_can_read_are_refused(catalog: TestClient, bad: str) -> None:
    unprocessable = HTTPStatus.UNPROCESSABLE_ENTITY
    assert "cannot be read" in sent(catalog, "PUT", "/notes", {"text": f"x{bad}"}, unprocessable)["detail"]
    sent(catalog, "POST", "/threads", {"text": f"x{bad}"}, unprocessable)
    sent(catalog, "POST", "/threads", {"text": "  \n"}, unprocessable)


@given(st.text())
def test_a_text_is_taken_whole_or_refused(text: str) -> None:
    try:
        assert plain_text(text) == text
    except ValueError:
        assert any(not each.isprintable() for each in text)


def test_usage_adds_up_over_days_people_and_gateways(catalog: TestClient, lonely: Gateway) -> None:
    now = datetime.now(UTC)
    others = [Usage(lonely.engine) for _ in range(4)]  # of other gateways on the same database
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda usage: [usage.record(["nyc.airports"], "p1", "ann", "queries", now) for _ in range(5)], others
            )
        )
    others[0].record(["nyc.airports", "hr.salaries"], "p2", "bea", "exports", now - timedelta(days=3))
    others[0].record(["nyc.airports"], "p2", "bea", "queries", now - timedelta(days=40))
    found = sent(catalog, "GET", "/usage")
    assert (found["queries"], found["exports"]) == (20, 1)
    assert [(user["name"], user["queries"], user["exports"]) for user in found["users"]] == [
        ("ann", 20, 0),
        ("bea", 0, 1),
    ]
    assert [(day["queries"], day["exports"]) for day in found["days"]] == [(0, 1), (20, 0)]
    assert sent(catalog, "GET", "/usage?days=60")["queries"] == 21


class Table:
    """A warehouse with one table, that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def query(self, sql: str, limit: int, parameters: Any = None, *, needed: Any = None) -> Answer:
        self.asked.append(sql)
        assert needed == (None if "system.columns" in sql else {"use_query_condition_cache": "0"})
        if "system.columns" in sql:
            return Answer([("name", "String")], [["faa"], ["tower_phone"], ["_offset"]], False, 1.0)
        return Answer([("faa", "String"), ("tower_phone", "String")], [["JFK", None]][:limit], False, 1.0)


def test_a_sample_is_read_as_the_policy_has_it_and_counts_as_a_use(lonely: Gateway) -> None:
    fold(lonely, AIRPORTS, SALARIES)
    table = Table()
    gateway = replace(lonely, warehouse=cast(Warehouse, table))
    client = TestClient(serve(gateway), headers={"Authorization": f"Bearer {ADMIN}"})
    whole = sent(client, "GET", "/sample")
    assert (whole["hidden"], whole["filtered"]) == ([], False)
    grant = Grant("g", "user:ann", "analyst", NYC, rows="(faa <> 'JFK')")
    with calling(client, somebody(grant)):
        seen = sent(client, "GET", "/sample?limit=5")
    assert (seen["hidden"], seen["filtered"]) == (["tower_phone"], True)
    assert "WHERE ifNull((faa <> 'JFK'), 0)" in table.asked[-1]
    assert "NULL) AS `tower_phone`" in table.asked[-1]
    assert table.asked[-1].endswith("LIMIT 5")
    assert "NULL" not in table.asked[1]  # the control: somebody who sees everything
    assert [(user["name"], user["queries"]) for user in sent(client, "GET", "/usage")["users"]] == [
        ("admin", 1),
        ("ann", 1),
    ]
    with calling(client, VIEWER):
        sent(client, "GET", "/sample", status=HTTPStatus.FORBIDDEN)
        assert client.get("/api/v1/catalog/hr.salaries/sample").status_code == HTTPStatus.NOT_FOUND
