"""Routes: version, health and metrics of the gateway."""

from http import HTTPStatus
from importlib.metadata import version

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Calling, Parts, may_answer

router = APIRouter(tags=["operations"])
versioned = APIRouter(prefix=PREFIX, tags=["operations"])


@versioned.get("/version", summary="Which program answers", responses=may_answer())
def show_version(_: Calling) -> models.Version:
    """Name and version."""
    return models.Version(name="headrace", version=version("headrace"))


@router.get(
    "/healthz",
    summary="What the gateway can reach",
    responses={HTTPStatus.SERVICE_UNAVAILABLE.value: {"model": models.Health, "description": "Without its database."}},
)
def healthz(gateway: Parts, response: Response) -> models.Health:
    """Each part the gateway depends on. It serves what it can without Kafka, the registry and the warehouse (200,
    `degraded`); without its database it cannot (503).
    """
    faults = gateway.health()
    if faults["database"]:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return models.Health.model_validate(
        {
            "status": "degraded" if any(faults.values()) else "ok",
            "parts": {part: {"ok": not fault, "detail": fault} for part, fault in faults.items()},
        }
    )


@router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
def metrics() -> Response:
    """The metrics of this process, in Prometheus' text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
