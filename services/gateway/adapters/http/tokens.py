"""Routes: who may use the API."""

from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Administering, Parts, may_answer
from services.gateway.adapters.http.problems import not_found
from services.gateway.adapters.http.recording import note

router = APIRouter(prefix=PREFIX, tags=["tokens"])


@router.post(
    "/tokens", summary="Make a token", status_code=HTTPStatus.CREATED, responses=may_answer(HTTPStatus.FORBIDDEN)
)
def create(body: models.NewToken, gateway: Parts, _: Administering) -> models.CreatedToken:
    """A new bearer token, with 256 random bits. It is shown this once: only a keyed hash of it is kept."""
    token, bearer = gateway.tokens.create(body.name, datetime.now(UTC))
    note(after=asdict(token))
    return models.CreatedToken(**asdict(token), token=bearer)


@router.get("/tokens", summary="List tokens", responses=may_answer(HTTPStatus.FORBIDDEN))
def tokens(gateway: Parts, _: Administering) -> models.Tokens:
    """Every token beside the administrator's own, which comes from the settings."""
    return models.Tokens(items=[models.Token(**asdict(token)) for token in gateway.tokens.all()])


@router.delete(
    "/tokens/{token_id}",
    summary="Revoke a token",
    status_code=HTTPStatus.NO_CONTENT,
    responses=may_answer(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
)
def revoke(
    token_id: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", examples=["9f86d081884c7d65"])],
    gateway: Parts,
    _: Administering,
) -> None:
    """Make a token worthless from now on."""
    if not gateway.tokens.revoke(token_id):
        raise not_found(f"there is no token {token_id}")
