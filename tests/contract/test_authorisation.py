"""Every route by every role, with a dataset of one's own and with another's: allowed and refused as the table beside this says.

A new route fails until somebody has written down what it needs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from headrace.access.policy import ACTIONS, ROLES, Action, Role
from headrace.errors import Transient
from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.adapters.http.app import create_app
from services.gateway.bootstrap import build
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.accesses import bearer, headers, with_memory
from tests.unit.gateway.test_datasets import AIRPORTS, live

ADMIN: Final = "an-admin-token-of-a-test"
NOWHERE: Final = "127.0.0.1:1"
OWN, OTHER, SECRET_OWN = "nyc.airports", "staff.salaries", "nyc.secrets"
SALARIES: Final = """\
dataset: staff.salaries
description: What people earn.
owner: {team: staff}
source: {type: http_push}
"""
SECRETS: Final = """\
dataset: nyc.secrets
description: What shows in part.
owner: {team: nyc}
source: {type: http_push}
classification: restricted
"""

Operation = tuple[str, str]


def _table() -> dict[Operation, tuple[str, ...]]:
    lines = (Path(__file__).parent / "authorisation.txt").read_text().splitlines()
    parts = [line.split() for line in lines if not line.startswith("#")]
    return {(method, path): tuple(needs) for *needs, method, path in parts}


NEEDS: Final = _table()
DESCRIBED: Final[Mapping[str, Any]] = create_app().openapi()["paths"]
OPERATIONS: Final = [(method.upper(), path) for path, methods in DESCRIBED.items() for method in methods]


class Away:
    """A part that says at once that it is not within reach: what it would do is not looked at here."""

    def __getattr__(self, name: str) -> Any:
        raise Transient(f"{name} is away")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A gateway with three datasets, with nothing else within reach; a token for each role in one domain, by its name."""
    settings = GatewaySettings(
        gateway_admin_token=SecretStr(ADMIN),
        data_dir=tmp_path_factory.mktemp("gateway"),
        bootstrap_servers=NOWHERE,
        registry_url=f"http://{NOWHERE}",
        warehouse_url=f"http://{NOWHERE}",
    )
    gateway = with_memory(build(settings), ADMIN)
    with gateway.engine.begin() as connection:
        fold_datasets(connection, live(AIRPORTS, SALARIES, SECRETS).items())
    app = create_app()
    used = {"engine", "access", "known_access", "assets"}
    away: dict[str, Any] = {each.name: Away() for each in fields(gateway) if each.name not in used}
    app.state.gateway = replace(gateway, **away)
    yield TestClient(app, raise_server_exceptions=False)
    gateway.engine.dispose()


@pytest.fixture(scope="module")
def tokens(api: TestClient) -> dict[str, str]:
    gateway = api.app.state.gateway  # type: ignore[attr-defined]
    clearance: Any = "internal"
    own = {role: bearer(gateway, f"the {role}", role, "domain:nyc", clearance=clearance) for role in ROLES}
    return own | {"nobody": bearer(gateway, "nobody", None), "everywhere": bearer(gateway, "everywhere", "admin")}


def ask(api: TestClient, operation: Operation, dataset: str, token: str | None) -> Any:
    method, path = operation
    for name, value in {"name": dataset, "row_id": "0-1", "number": "1", "generation": "1"}.items():
        path = path.replace(f"{{{name}}}", value)
    sent = {} if token is None else headers(token)
    return api.request(method, path.replace("{token_id}", "0" * 16).replace("{", "").replace("}", ""), headers=sent)


def denied(response: Any) -> int | None:
    """With which status a request was refused for who sent it; None when it was let through, to whatever came then."""
    status: int = response.status_code
    hidden = status == HTTPStatus.NOT_FOUND and "or you may not see it" in response.text
    return status if hidden or status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) else None


def expected(needs: tuple[str, ...], role: Role, operation: Operation, dataset: str) -> int | None:
    """What a role in the domain nyc, with clearance `internal`, is to be told."""
    if needs == ("anybody",):
        return None
    if needs == ("admin:everywhere",):
        return HTTPStatus.FORBIDDEN
    named = "/datasets/{name}" in operation[1]
    if named and dataset == OTHER:
        return HTTPStatus.NOT_FOUND
    lacking = [need for need in needs if Action(need.partition(":")[0]) not in ACTIONS[role]]
    in_part = named and dataset == SECRET_OWN and "query:whole" in needs
    return HTTPStatus.FORBIDDEN if lacking or in_part else None


def test_the_table_is_about_the_routes_that_there_are() -> None:
    assert set(OPERATIONS) == NEEDS.keys()


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_the_description_says_what_it_needs(operation: Operation) -> None:
    method, path = operation
    security = DESCRIBED[path][method.lower()].get("security")
    said = ("open",) if security is None else tuple(security[0]["HTTPBearer"]) or ("anybody",)
    assert said == NEEDS[operation]


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_every_role_is_let_through_or_refused(api: TestClient, tokens: dict[str, str], operation: Operation) -> None:
    needs = NEEDS[operation]
    if needs == ("open",):
        assert denied(ask(api, operation, OWN, None)) is None
        return
    assert denied(ask(api, operation, OWN, None)) == HTTPStatus.UNAUTHORIZED
    assert denied(ask(api, operation, OWN, "hr_0000000000000000_x")) == HTTPStatus.UNAUTHORIZED
    for dataset in (OWN, OTHER, SECRET_OWN):
        for role in ROLES:
            found = denied(ask(api, operation, dataset, tokens[role]))
            assert found == expected(needs, role, operation, dataset), (role, dataset)
        assert denied(ask(api, operation, dataset, tokens["everywhere"])) is None, dataset
        nobody = denied(ask(api, operation, dataset, tokens["nobody"]))
        assert (nobody is None) == (needs == ("anybody",)), dataset


def test_the_control_a_route_that_asks_for_less_is_noticed(
    api: TestClient, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever forgets what a route needs lets everybody through: the same test says so."""
    operation = ("GET", "/api/v1/datasets/{name}")
    monkeypatch.setattr("services.gateway.adapters.http.access.permit", lambda *_, **__: None)
    assert denied(ask(api, operation, OTHER, tokens["viewer"])) is None
    assert expected(NEEDS[operation], "viewer", operation, OTHER) == HTTPStatus.NOT_FOUND
