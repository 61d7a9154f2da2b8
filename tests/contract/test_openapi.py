"""Whatever is thrown at the API, it answers as its description says, and never with a fault of its own."""

import os
from http import HTTPStatus
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from pydantic import SecretStr
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.adapters.http.app import create_app
from services.gateway.bootstrap import build
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.accesses import with_memory
from tests.unit.gateway.test_datasets import AIRPORTS, live

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ADMIN = "an-admin-token-of-a-test"
NOWHERE = "127.0.0.1:1"
CASES = 100 if os.environ.get("HEADRACE_TEST_LONG") else 25  # of each operation


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> schemathesis.BaseSchema:
    """The API of a gateway that holds a dataset and who may do what, with nothing else within reach: 503 is a lawful answer."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    settings = GatewaySettings(
        gateway_admin_token=SecretStr(ADMIN),
        data_dir=folder,
        bootstrap_servers=NOWHERE,
        registry_url=f"http://{NOWHERE}",
        warehouse_url=f"http://{NOWHERE}",
    )
    gateway = with_memory(build(settings), ADMIN)
    with gateway.engine.begin() as connection:
        fold_datasets(connection, live(AIRPORTS).items())
    app = create_app()
    app.state.gateway = gateway
    return schemathesis.openapi.from_asgi("/openapi.json", app)


DESCRIBED = create_app().openapi()["paths"]
OPERATIONS = [(method, path) for path, methods in DESCRIBED.items() for method in methods]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_any_request_gets_an_answer_of_the_description(api: schemathesis.BaseSchema, method: str, path: str) -> None:
    @settings(max_examples=CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=api[path][method].as_strategy())
    def ask(case: schemathesis.Case) -> None:
        response = case.call(headers={"Authorization": f"Bearer {ADMIN}"})
        if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            case.validate_response(response, checks=CHECKS)

    ask()
