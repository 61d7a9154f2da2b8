"""Puts the API together: routes, errors, the layer around every request."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI

from services.gateway.adapters.http import (
    back_tests,
    datasets,
    drift,
    exports,
    generation_diffs,
    generations,
    grants,
    ledger,
    made_tests,
    operations,
    overrides,
    problems,
    quarantine,
    queries,
    rows,
    runs,
    secrets,
    source_control,
    sources,
    tokens,
    users,
)
from services.gateway.adapters.http.middleware import Requests

_TAGS: Final = [
    {"name": "datasets", "description": "Plan and apply dataset files; see what is live."},
    {"name": "generations", "description": "Another version beside the live one: replay, promote, roll back, retire."},
    {"name": "sources", "description": "Look at a source before anything is saved of it."},
    {"name": "books", "description": "Where every row is: status, ledger, quarantine, the newest records."},
    {"name": "queries", "description": "Ask the warehouse."},
    {"name": "exports", "description": "Rows as files."},
    {"name": "access", "description": "Who there is, what they may do, and their tokens."},
    {"name": "secrets", "description": "The credentials of sources. For the administrator; no answer holds a value."},
    {"name": "operations", "description": "Version, health and metrics of the gateway."},
]
_ABOUT: Final = """\
The API of a Headrace gateway. Every call under `/api/v1` needs a bearer token. Errors are
`application/problem+json` (RFC 9457); each answer carries its request's id as `X-Request-Id`.
"""

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(lifespan: Lifespan | None = None) -> FastAPI:
    """The app. Its routes work with the gateway in `app.state.gateway`."""
    app = FastAPI(
        title="Headrace",
        version=version("headrace"),
        description=_ABOUT,
        openapi_tags=_TAGS,
        lifespan=lifespan,
        docs_url="/docs",
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    for router in (
        datasets.router,
        ledger.router,
        quarantine.router,
        rows.router,
        drift.router,
        back_tests.router,
        generation_diffs.router,
        sources.router,
        runs.router,
        generations.router,
        source_control.router,
        made_tests.router,
        overrides.router,
        queries.router,
        exports.router,
        users.router,
        grants.router,
        tokens.router,
        secrets.router,
        operations.versioned,
        operations.router,
    ):
        app.include_router(router)
    app.add_middleware(Requests)
    problems.install(app)
    _describe_problems(app)
    return app


def _describe_problems(app: FastAPI) -> None:
    """Add the body of errors to the API's description: no route names it, because no route returns it."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        schema = describe()
        schema["components"]["schemas"]["Problem"] = problems.Problem.model_json_schema()
        return schema

    app.openapi = described  # type: ignore[method-assign]
