"""Who may do what, as the API is told it and as it answers."""

from http import HTTPStatus
from typing import Any

import pytest
from fastapi.testclient import TestClient

from headrace.access.policy import Action
from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.gateway import Gateway
from tests.unit.gateway.accesses import bearer, headers
from tests.unit.gateway.test_api_alone import problem
from tests.unit.gateway.test_datasets import AIRPORTS, FLIGHTS, live

SALARIES = """\
dataset: staff.salaries
description: What people earn.
owner: {team: staff}
source: {type: http_push}
classification: confidential
schema:
  fields:
    - {name: id, logicalType: string, classification: internal}
    - {name: amount, logicalType: integer, classification: restricted}
"""
COPY = """\
dataset: nyc.copy
description: What people earn, under another name.
owner: {team: nyc}
source: {type: http_push}
transform: {sql: "SELECT s.amount AS n FROM input JOIN ref('staff.salaries') s USING (id)"}
"""


@pytest.fixture(autouse=True)
def datasets(lonely: Gateway) -> None:
    with lonely.engine.begin() as connection:
        fold_datasets(connection, live(AIRPORTS, FLIGHTS, SALARIES).items())


def names(response: Any) -> list[str]:
    assert response.status_code == HTTPStatus.OK, response.text
    return [item["name"] for item in response.json()["items"]]


def test_only_what_one_may_see_is_listed_and_the_rest_is_not_there(lonely: Gateway, client: TestClient) -> None:
    ada = headers(bearer(lonely, "ada", "viewer", "domain:nyc"))
    assert names(client.get("/api/v1/datasets", headers=ada)) == ["nyc.airports", "nyc.flights"]
    assert names(client.get("/api/v1/datasets")) == ["nyc.airports", "nyc.flights", "staff.salaries"]
    hidden = problem(client.get("/api/v1/datasets/staff.salaries", headers=ada), HTTPStatus.NOT_FOUND)
    nowhere = problem(client.get("/api/v1/datasets/staff.nothing", headers=ada), HTTPStatus.NOT_FOUND)
    assert hidden["detail"].replace("salaries", "nothing") == nowhere["detail"]


def test_without_a_grant_there_is_nothing(lonely: Gateway, client: TestClient) -> None:
    nobody = headers(bearer(lonely, "nobody", None))
    problem(client.get("/api/v1/datasets", headers=nobody), HTTPStatus.FORBIDDEN)
    assert client.get("/api/v1/me", headers=nobody).json()["name"] == "nobody"


def test_a_revoked_grant_counts_at_once(lonely: Gateway, client: TestClient) -> None:
    ada = headers(bearer(lonely, "ada", None))
    made = client.post("/api/v1/grants", json={"to": "user:ada", "role": "viewer", "scope": "dataset:nyc.airports"})
    assert made.status_code == HTTPStatus.CREATED, made.text
    assert names(client.get("/api/v1/datasets", headers=ada)) == ["nyc.airports"]
    listed = client.get("/api/v1/grants", params={"to": "ada"}).json()["items"]
    assert [(each["name"], each["clearance"]) for each in listed] == [("ada", "internal")]
    assert client.delete(f"/api/v1/grants/{made.json()['id']}").status_code == HTTPStatus.NO_CONTENT
    problem(client.get("/api/v1/datasets", headers=ada), HTTPStatus.FORBIDDEN)
    problem(client.delete(f"/api/v1/grants/{made.json()['id']}"), HTTPStatus.NOT_FOUND)


def test_groups_have_what_is_granted_to_them(lonely: Gateway, client: TestClient) -> None:
    ada = headers(bearer(lonely, "ada", None))
    granted = client.post("/api/v1/grants", json={"to": "group:mobility", "role": "viewer", "scope": "domain:nyc"})
    assert granted.status_code == HTTPStatus.CREATED
    problem(client.get("/api/v1/datasets", headers=ada), HTTPStatus.FORBIDDEN)
    changed = client.patch("/api/v1/users/u-ada", json={"groups": ["mobility"]})
    assert changed.json()["groups"] == ["mobility"]
    assert len(names(client.get("/api/v1/datasets", headers=ada))) == 2


def test_users_come_change_and_go_with_all_they_had(lonely: Gateway, client: TestClient) -> None:
    ada = headers(bearer(lonely, "ada", "viewer"))
    problem(client.post("/api/v1/users", json={"name": "Ada"}), HTTPStatus.CONFLICT)
    problem(client.post("/api/v1/users", json={"name": "admin"}), HTTPStatus.CONFLICT)
    bob = client.post("/api/v1/users", json={"name": "bob", "kind": "service"}).json()
    problem(client.patch(f"/api/v1/users/{bob['id']}", json={"name": "ADA"}), HTTPStatus.CONFLICT)
    assert names(client.get("/api/v1/users")) == ["ada", "bob"]
    assert client.patch("/api/v1/users/u-ada", json={"active": False}).json()["active"] is False
    problem(client.get("/api/v1/me", headers=ada), HTTPStatus.UNAUTHORIZED)
    assert client.delete("/api/v1/users/u-ada").status_code == HTTPStatus.NO_CONTENT
    assert client.get("/api/v1/tokens").json()["items"] == []
    assert client.get("/api/v1/grants").json()["items"] == []
    problem(client.delete("/api/v1/users/u-ada"), HTTPStatus.NOT_FOUND)


@pytest.mark.parametrize("name", ["", "a\r\nSet-Cookie: x", "x" * 101, " a", "<script>"])
def test_a_name_is_one_line_of_plain_characters(client: TestClient, name: str) -> None:
    problem(client.post("/api/v1/users", json={"name": name}), HTTPStatus.UNPROCESSABLE_ENTITY)


@pytest.mark.parametrize("member", ["id", "is_admin", "role", "grants", "digest"])
def test_nobody_sets_what_is_not_theirs_to_set(client: TestClient, member: str) -> None:
    problem(client.post("/api/v1/users", json={"name": "eve", member: "x"}), HTTPStatus.UNPROCESSABLE_ENTITY)


@pytest.mark.parametrize("rows", ["1; DROP TABLE x", "id IN (SELECT 1)", "a, b", "1) OR (1", "file('/etc/passwd')"])
def test_a_row_filter_is_one_condition_about_the_row(client: TestClient, lonely: Gateway, rows: str) -> None:
    bearer(lonely, "ada", None)
    body = {"to": "user:ada", "role": "analyst", "scope": "*", "rows": rows}
    problem(client.post("/api/v1/grants", json=body), HTTPStatus.UNPROCESSABLE_ENTITY)


def test_who_governs_a_domain_grants_within_it_and_no_further(lonely: Gateway, client: TestClient) -> None:
    governor = headers(bearer(lonely, "governor", "admin", "domain:nyc"))
    bearer(lonely, "ada", None)
    within = {"to": "user:ada", "role": "analyst", "scope": "dataset:nyc.airports"}
    assert client.post("/api/v1/grants", json=within, headers=governor).status_code == HTTPStatus.CREATED
    for scope in ("*", "domain:staff", "dataset:staff.salaries", "tag:x"):
        problem(client.post("/api/v1/grants", json=within | {"scope": scope}, headers=governor), HTTPStatus.FORBIDDEN)
    mine = client.get("/api/v1/grants", headers=governor).json()["items"]
    assert {each["scope"] for each in mine} == {"domain:nyc", "dataset:nyc.airports"}
    problem(client.post("/api/v1/users", json={"name": "eve"}, headers=governor), HTTPStatus.FORBIDDEN)


def test_a_token_reaches_no_further_than_the_one_it_was_made_with(lonely: Gateway, client: TestClient) -> None:
    wider: list[dict[str, list[str]]] = [
        {"actions": ["see", "query"]},
        {"actions": ["see"], "scopes": ["*"]},
        {"actions": ["see"], "scopes": ["domain:staff"]},
    ]
    narrow = headers(bearer(lonely, "ada", "engineer", actions=["see"], scopes=["domain:nyc"]))  # type: ignore[list-item]
    for each in wider:
        problem(client.post("/api/v1/tokens", json={"name": "wider", **each}, headers=narrow), HTTPStatus.FORBIDDEN)
    body = {"name": "as narrow", "actions": ["see"], "scopes": ["dataset:nyc.airports"]}
    made = client.post("/api/v1/tokens", json=body, headers=narrow)
    assert made.status_code == HTTPStatus.CREATED, made.text
    assert names(client.get("/api/v1/datasets", headers=headers(made.json()["token"]))) == ["nyc.airports"]
    problem(client.post("/api/v1/tokens", json={"name": "x", "owner": "admin"}, headers=narrow), HTTPStatus.FORBIDDEN)


def test_a_token_ends_with_the_one_it_was_made_with(lonely: Gateway, client: TestClient) -> None:
    """Whoever found a token out keeps nothing of it."""
    first = bearer(lonely, "ada", "viewer")
    other = bearer(lonely, "bob", "viewer")
    tokens = [first]
    for name in ("second", "third"):
        made = client.post("/api/v1/tokens", json={"name": name, "actions": ["see"]}, headers=headers(tokens[-1]))
        tokens.append(made.json()["token"])
    assert client.delete(f"/api/v1/tokens/{first.split('_')[1]}").status_code == HTTPStatus.NO_CONTENT
    for token in tokens:
        problem(client.get("/api/v1/me", headers=headers(token)), HTTPStatus.UNAUTHORIZED)
    assert client.get("/api/v1/me", headers=headers(other)).status_code == HTTPStatus.OK


def test_a_narrow_token_revokes_itself_and_none_that_reaches_further(lonely: Gateway, client: TestClient) -> None:
    wide = bearer(lonely, "ada", "engineer")
    body = {"name": "narrow", "actions": ["see"]}
    narrow = client.post("/api/v1/tokens", json=body, headers=headers(wide)).json()["token"]
    sent = headers(narrow)
    problem(client.delete(f"/api/v1/tokens/{wide.split('_')[1]}", headers=sent), HTTPStatus.FORBIDDEN)
    assert client.get("/api/v1/me", headers=headers(wide)).status_code == HTTPStatus.OK
    assert client.delete(f"/api/v1/tokens/{narrow.split('_')[1]}", headers=sent).status_code == HTTPStatus.NO_CONTENT


def test_tokens_are_listed_and_revoked_by_their_owner(lonely: Gateway, client: TestClient) -> None:
    ada, eve = (headers(bearer(lonely, name, "viewer")) for name in ("ada", "eve"))
    mine = client.get("/api/v1/tokens", headers=ada).json()["items"]
    assert [(each["owner"], each["last_used_at"] is not None) for each in mine] == [("ada", True)]
    assert "token" not in mine[0]
    assert len(client.get("/api/v1/tokens").json()["items"]) == 2
    problem(client.delete(f"/api/v1/tokens/{mine[0]['id']}", headers=eve), HTTPStatus.NOT_FOUND)
    assert client.delete(f"/api/v1/tokens/{mine[0]['id']}", headers=ada).status_code == HTTPStatus.NO_CONTENT
    problem(client.get("/api/v1/me", headers=ada), HTTPStatus.UNAUTHORIZED)


def test_a_token_names_an_owner_and_a_time_to_come(client: TestClient) -> None:
    problem(client.post("/api/v1/tokens", json={"name": "x"}), HTTPStatus.UNPROCESSABLE_ENTITY)
    problem(client.post("/api/v1/tokens", json={"name": "x", "owner": "ada"}), HTTPStatus.NOT_FOUND)
    client.post("/api/v1/users", json={"name": "ada"})
    late = {"name": "x", "owner": "ada", "expires_at": "2020-01-01T00:00:00Z"}
    problem(client.post("/api/v1/tokens", json=late), HTTPStatus.UNPROCESSABLE_ENTITY)


def test_a_file_shows_nobody_what_they_may_not_see(lonely: Gateway, client: TestClient) -> None:
    engineer = headers(bearer(lonely, "ada", "engineer", "domain:nyc"))
    problem(client.post("/api/v1/plan", json={"document": COPY}, headers=engineer), HTTPStatus.NOT_FOUND)
    bearer(lonely, "granted", None)
    seeing = {"to": "user:ada", "role": "analyst", "scope": "dataset:staff.salaries"}
    assert client.post("/api/v1/grants", json=seeing).status_code == HTTPStatus.CREATED
    problem(client.post("/api/v1/plan", json={"document": COPY}, headers=engineer), HTTPStatus.FORBIDDEN)
    assert client.post("/api/v1/grants", json=seeing | {"clearance": "restricted"}).status_code == HTTPStatus.CREATED
    planned = client.post("/api/v1/plan", json={"document": COPY}, headers=engineer)
    assert planned.status_code == HTTPStatus.OK, planned.text


def test_who_does_not_see_all_of_a_dataset_does_not_write_its_file(lonely: Gateway, client: TestClient) -> None:
    """Who may write it gives a column another name, or another classification."""
    file = {"document": SALARIES.replace("restricted", "public")}
    engineer = headers(bearer(lonely, "ada", "engineer", "domain:staff"))
    assert problem(client.post("/api/v1/plan", json=file, headers=engineer), HTTPStatus.FORBIDDEN)
    cleared = headers(bearer(lonely, "bob", "engineer", "domain:staff", clearance="restricted"))
    assert client.post("/api/v1/plan", json=file, headers=cleared).status_code == HTTPStatus.OK


def test_a_file_names_the_secrets_of_its_domain(lonely: Gateway, client: TestClient) -> None:
    source = "{type: sql, database: postgresql, name: x, user: y, password: secret://NAME, table: t, key: [id]}"
    file = SALARIES.replace("{type: http_push}", source)
    engineer = headers(bearer(lonely, "ada", "engineer", "domain:staff", clearance="restricted"))

    def planned(name: str, sent: dict[str, str]) -> int:
        status: int = client.post(
            "/api/v1/plan", json={"document": file.replace("NAME", name)}, headers=sent
        ).status_code
        return status

    assert planned("staff.password", engineer) == planned("staff-db", engineer) == HTTPStatus.OK
    assert planned("shop.password", engineer) == planned("staffing.x", engineer) == HTTPStatus.FORBIDDEN
    assert planned("staff_eu.password", engineer) == HTTPStatus.FORBIDDEN  # that of a domain staff_eu
    assert planned("shop.password", {}) == HTTPStatus.OK  # the administrator's


@pytest.mark.parametrize("act", ["check", "discover"])
@pytest.mark.parametrize(
    "source",
    [
        "{type: dataset, dataset: staff.salaries}",
        """{type: model, schedule: {every: 1h}, sql: "SELECT max(amount) AS n FROM ref('staff.salaries')
            WHERE _ingested_at >= {since:DateTime64(6, 'UTC')} AND _ingested_at < {until:DateTime64(6, 'UTC')}"}""",
    ],
)
def test_a_source_that_is_looked_at_shows_nobody_what_they_may_not_see(
    lonely: Gateway, client: TestClient, act: str, source: str
) -> None:
    engineer = headers(bearer(lonely, "ada", "engineer", "domain:nyc"))
    cleared = headers(bearer(lonely, "bob", "engineer", "*", clearance="restricted"))
    file = {"document": f"source: {source}"}
    problem(client.post(f"/api/v1/sources/{act}", json=file, headers=engineer), HTTPStatus.NOT_FOUND)
    answer = client.post(f"/api/v1/sources/{act}", json=file, headers=cleared)
    assert answer.status_code in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE), answer.text  # ingest is away


def test_single_records_are_shown_whole_or_not_at_all(lonely: Gateway, client: TestClient) -> None:
    """The warehouse is away: who may look hears of that, who may not hears that first."""
    for name, grant, status in (
        ("whole", {"clearance": "restricted"}, HTTPStatus.SERVICE_UNAVAILABLE),
        ("masked", {}, HTTPStatus.FORBIDDEN),
        ("filtered", {"clearance": "restricted", "rows": "(id = 'a')"}, HTTPStatus.FORBIDDEN),
    ):
        sent = headers(bearer(lonely, name, "analyst", "domain:staff", **grant))  # type: ignore[arg-type]
        problem(client.get("/api/v1/datasets/staff.salaries/quarantine", headers=sent), status)


def test_an_administrator_looks_with_the_eyes_of_others_and_only_looks(lonely: Gateway, client: TestClient) -> None:
    ada = headers(bearer(lonely, "ada", "viewer", "domain:nyc"))
    eyes = {"X-View-As": "ada"}
    assert names(client.get("/api/v1/datasets", headers=eyes)) == ["nyc.airports", "nyc.flights"]
    assert client.get("/api/v1/me", headers=eyes).json()["name"] == "ada (seen by admin)"
    problem(client.post("/api/v1/tokens", json={"name": "x"}, headers=eyes), HTTPStatus.FORBIDDEN)
    problem(client.get("/api/v1/datasets", headers={"X-View-As": "nobody"}), HTTPStatus.NOT_FOUND)
    bearer(lonely, "boss", "viewer")
    problem(client.get("/api/v1/datasets", headers=ada | {"X-View-As": "boss"}), HTTPStatus.FORBIDDEN)
    bearer(lonely, "chief", "admin")
    only = headers(bearer(lonely, "root", "admin", actions=[Action.ADMIN, Action.SEE]))
    assert client.get("/api/v1/datasets", headers=only | eyes).status_code == HTTPStatus.OK
    asked = client.post("/api/v1/query", json={"sql": "select 1"}, headers=only | {"X-View-As": "chief"})
    problem(asked, HTTPStatus.FORBIDDEN)  # this token is not for queries
    for path in ("/api/v1/secrets/query", "/api/v1/users/query"):  # no question, in spite of its name
        refused = problem(client.delete(path, headers={"X-View-As": "chief"}), HTTPStatus.FORBIDDEN)
        assert "X-View-As" in refused["detail"]


def test_it_is_told_who_may_do_what_with_a_dataset(lonely: Gateway, client: TestClient) -> None:
    bearer(lonely, "ada", "analyst", "domain:staff", rows="(id = 'a')")
    bearer(lonely, "bob", "engineer", "domain:nyc")
    [told] = client.get("/api/v1/datasets/staff.salaries/access").json()["items"]
    assert (told["user"]["name"], told["actions"]) == ("ada", ["see", "query", "export"])
    assert told["sight"] == {"rows": ["(id = 'a')"], "masked": {"amount": []}, "records": False}


def test_before_anything_was_read_nobody_is_refused_for_good(lonely: Gateway, client: TestClient) -> None:
    ada = headers(bearer(lonely, "ada", "viewer"))
    lonely.known_access.book = None
    problem(client.get("/api/v1/datasets", headers=ada), HTTPStatus.SERVICE_UNAVAILABLE)
    assert client.get("/api/v1/datasets").status_code == HTTPStatus.OK  # the administrator of the settings
