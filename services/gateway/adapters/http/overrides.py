"""Routes: decide about rows that are held, skip rows, pin the version that is live; see what was decided."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from headrace.access.policy import Action
from headrace.stream import topics
from headrace.stream.overrides import Act, Override
from services.gateway.adapters.assets import asset_of
from services.gateway.adapters.control_fold import Slot
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Operating, Parts, Reading, Seeing, may_answer
from services.gateway.adapters.http.datasets import known, visible_datasets
from services.gateway.adapters.http.problems import ProblemError
from services.gateway.adapters.http.waiting import wait_until
from services.gateway.core.overrides import HeldRow, not_held, release
from services.gateway.gateway import Gateway

router = APIRouter(prefix=PREFIX, tags=["datasets"])

_LOOKING = may_answer(HTTPStatus.NOT_FOUND)
_DECIDING = may_answer(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE)


@router.get("/held-rows", summary="List the rows that wait for a decision", responses=_LOOKING)
def held_rows(
    gateway: Parts, caller: Reading, dataset: Annotated[str | None, Query(description="Only this dataset.")] = None
) -> models.HeldRows:
    """The row that each dataset is stopped in front of, as a check of severity hold wants it."""
    datasets = [
        each
        for each in visible_datasets(gateway, caller, dataset or None)
        if caller.access.sees_whole(Action.QUERY, asset_of(each))
    ]
    return models.HeldRows(items=[_held(each) for each in gateway.accounts.held(datasets)])


@router.post("/datasets/{name}/hold/release", summary="Decide about a row that is held", responses=_DECIDING)
def release_hold(name: models.Name, body: models.HoldRelease, gateway: Parts, caller: Operating) -> models.Overrides:
    """Let a row go on with a flag, or set it aside, and the dataset with it. Others of its check too, if wanted.

    Refused when a row that is named is not, or no longer, the one that is held: then nothing is decided (409). The decision
    stands, whatever is restarted meanwhile.
    """
    dataset = known(gateway.datasets, name)
    held = gateway.accounts.held([dataset])
    if not held:
        detail = f"no row of {name} waits for a decision; see: headrace status {name}"
        raise ProblemError(HTTPStatus.CONFLICT, "nothing-held", "No row is held", detail)
    if unheld := not_held(body.raw, held, gateway.overrides.of(name)):
        now = ", ".join(f"{each.place} ({each.rule})" for each in held)
        detail = f"{'; '.join(unheld)}. Nothing was decided. Held now: {now}; look at it: headrace hold ls {name}"
        raise ProblemError(HTTPStatus.CONFLICT, "not-held", "Another row is held", detail)
    slots = [Slot(topics.raw(name), number) for number in range(dataset.contract().partitions)]
    ends = {slot.partition: end for slot, end in gateway.progress.ends(slots).items()} if body.all_like_this else {}
    act = (body.act, datetime.now(UTC), caller.name, body.because, body.rows, ends)
    return _write(gateway, name, [each for row in held if row.place in body.raw for each in release(row, *act)])


@router.post("/datasets/{name}/skip", summary="Leave rows out", responses=_DECIDING)
def skip(name: models.Name, body: models.Skip, gateway: Parts, caller: Operating) -> models.Overrides:
    """Have the transformer leave a range of raw rows out: they count as filtered, by the rule `skipped`.

    Only rows that it has not come to yet: what is loaded already stays.
    """
    partitions = known(gateway.datasets, name).contract().partitions
    if body.partition >= partitions or body.to_offset < body.from_offset:
        detail = f"{name} has the partitions 0 to {partitions - 1}; the first offset must not be above the last"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "no-such-range", "There is no such range", detail)
    at = datetime.now(UTC)
    wanted = Override(name, "skip", at, caller.name, body.because, body.partition, body.from_offset, body.to_offset)
    return _write(gateway, name, [wanted])


@router.post("/datasets/{name}/pin", summary="Let no new version go live", responses=_DECIDING)
def pin(name: models.Name, body: models.Reason, gateway: Parts, caller: Operating) -> models.Overrides:
    """Refuse every new version of the dataset file (409), until it is unpinned. Pinning it anew replaces who and why."""
    return _pinned(gateway, name, "pin", caller.name, body.because)


@router.post("/datasets/{name}/unpin", summary="Let new versions go live again", responses=_DECIDING)
def unpin(name: models.Name, body: models.Reason, gateway: Parts, caller: Operating) -> models.Overrides:
    """Take a pin back. A dataset that is not pinned stays as it is."""
    return _pinned(gateway, name, "unpin", caller.name, body.because)


@router.get("/datasets/{name}/overrides", summary="List what was decided by hand", responses=_LOOKING)
def overrides(name: models.Name, gateway: Parts, _: Seeing) -> models.Overrides:
    """Every decision about the dataset that stands: who made it, when and why."""
    known(gateway.datasets, name)
    return models.Overrides(items=[_shown(each) for each in gateway.overrides.of(name)])


def _pinned(gateway: Gateway, name: str, act: Act, by: str, because: str) -> models.Overrides:
    known(gateway.datasets, name)
    wanted = Override(name, act, datetime.now(UTC), by, because, id="pin")
    gateway.overrides.write([wanted])
    wait_until(lambda: (name in gateway.overrides.pins()) == (act == "pin"))
    return models.Overrides(items=[_shown(wanted)])


def _write(gateway: Gateway, name: str, wanted: list[Override]) -> models.Overrides:
    gateway.overrides.write(wanted)
    ids = {each.id for each in wanted}
    wait_until(lambda: ids <= {each.id for each in gateway.overrides.of(name)})
    return models.Overrides(items=[_shown(each) for each in wanted])


def _held(row: HeldRow) -> models.HeldRow:
    return models.HeldRow(**{name: getattr(row, name) for name in HeldRow.__dataclass_fields__})


def _shown(override: Override) -> models.Override:
    of_rows = override.partition >= 0
    return models.Override(
        id=override.id,
        dataset=override.dataset,
        act=override.act,
        partition=override.partition if of_rows else None,
        from_offset=override.from_offset if of_rows else None,
        to_offset=override.to_offset if of_rows else None,
        rule=override.rule,
        at=override.at,
        by=override.by,
        because=override.because,
    )
