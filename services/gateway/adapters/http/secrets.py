"""Routes: the credentials that dataset files name. Values come in and never go out."""

from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from pydantic import SecretStr

from headrace.secrets.settings import NO_KEY
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Administering, Parts, may_answer
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.adapters.http.recording import note
from services.gateway.adapters.http.waiting import wait_until
from services.gateway.adapters.secret_keeper import SecretKeeper
from services.gateway.core.secrets import users

router = APIRouter(prefix=PREFIX, tags=["secrets"])

MOST_BYTES: Final = 64 << 10


def _keeper(gateway: Parts, _: Administering) -> SecretKeeper:
    if gateway.keeper is None:
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "no-master-key", "Secrets cannot be kept here", NO_KEY)
    return gateway.keeper


Keeping = Annotated[SecretKeeper, Depends(_keeper)]
_ANSWERS: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE)


@router.put(
    "/secrets/{name}",
    summary="Set a secret",
    responses=may_answer(*_ANSWERS, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
)
def set_secret(
    name: models.SecretName, body: models.NewSecret, gateway: Parts, caller: Administering, keeper: Keeping
) -> models.Secret:
    """Give a secret its first value, or its next. Sources that name it begin anew with it, usually within two seconds."""
    _check(name, body.value)
    standing = gateway.secrets.all().get(name)
    entry = keeper.set(name, body.value, datetime.now(UTC), caller.name)
    note(before=standing and asdict(standing), after=asdict(entry))

    def shown() -> bool:
        found = gateway.secrets.all().get(name)
        return found is not None and found.set_at >= entry.set_at

    wait_until(shown)
    return models.Secret(**asdict(entry), datasets=users(gateway.datasets.all().values()).get(name, []))


@router.get("/secrets", summary="List secrets", responses=may_answer(*_ANSWERS))
def secrets(gateway: Parts, keeper: Keeping) -> models.Secrets:
    """Every secret without its value: who set it and when, the master key it is under, the datasets that name it."""
    by = users(gateway.datasets.all().values())
    return models.Secrets(
        current_key_id=keeper.current_key,
        items=[
            models.Secret(**asdict(entry), datasets=by.get(entry.name, [])) for entry in gateway.secrets.all().values()
        ],
    )


@router.delete(
    "/secrets/{name}",
    summary="Remove a secret",
    status_code=HTTPStatus.NO_CONTENT,
    responses=may_answer(*_ANSWERS, HTTPStatus.NOT_FOUND),
)
def remove(
    name: models.SecretName,
    gateway: Parts,
    caller: Administering,
    keeper: Keeping,
    force: Annotated[bool, Query(description="Also when datasets name it: their sources stop.")] = False,
) -> None:
    """Take a secret away. Refused while a dataset that is live names it (409), unless forced."""
    needed_by = users(gateway.datasets.all().values()).get(name, [])
    if needed_by and not force:
        detail = f"{', '.join(needed_by)} would stop: apply them without it first, or force the removal"
        raise ProblemError(HTTPStatus.CONFLICT, "secret-in-use", f"Datasets need the secret {name}", detail)
    if not keeper.remove(name, caller.name):
        raise not_found(f"there is no secret {name}")
    wait_until(lambda: name not in gateway.secrets.all())


@router.post(
    "/secrets/rotate", summary="Put every secret under the current master key", responses=may_answer(*_ANSWERS)
)
def rotate(gateway: Parts, caller: Administering, keeper: Keeping) -> models.RotatedSecrets:
    """Encrypt the data key of each secret anew that is under another master key; the former key has to be there still.

    Values and versions stay as they are, and sources do not notice. One that cannot be put under it keeps no other from it.
    """
    done = keeper.rotate(caller.name)

    def shown() -> bool:
        known = gateway.secrets.all()
        return all(known[name].key_id == done.key_id for name in done.rotated if name in known)

    wait_until(shown)
    return models.RotatedSecrets(
        current_key_id=done.key_id,
        rotated=len(done.rotated),
        unchanged=done.unchanged,
        failed=[models.FailedRotation(name=name, detail=detail) for name, detail in sorted(done.failed.items())],
    )


def _check(name: str, value: SecretStr) -> None:
    """Errors: ProblemError when the value is no text, or too large; it does not show it."""
    try:
        size = len(value.get_secret_value().encode())
    except UnicodeEncodeError:
        detail = f"the value of {name} has half of a surrogate pair"
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        raise ProblemError(status, "not-text", "The value is not text in UTF-8", detail) from None
    if size > MOST_BYTES:
        detail = f"the value of {name} is over {MOST_BYTES} bytes"
        raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", "The value is too large", detail)
