"""Routes: generations of a dataset: make one, see how far each is, have one shown, go back, give one up."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path

from headrace.contract import load
from headrace.errors import Transient
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Editing, Operating, Parts, Seeing, may_answer
from services.gateway.adapters.http.authorship import permit_file
from services.gateway.adapters.http.datasets import known, refuse, refuse_failed_tests, refuse_pinned
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.adapters.http.waiting import wait_until
from services.gateway.core.datasets import DatasetVersion, Refusal, propose, refusals_of_reading
from services.gateway.core.generations import (
    RETIRED,
    Act,
    Range,
    promoted,
    replayed,
    retired,
    rolled_back,
    stands_against,
)
from services.gateway.gateway import Gateway
from services.gateway.generations import GenerationStatus

router = APIRouter(prefix=PREFIX, tags=["generations"])

_CATCH_UP_S: Final = 10.0
_TITLES: Final = {
    "loaded-in-runs": "The dataset is loaded in runs",
    "other-partitions": "The records are partitioned otherwise",
    "other-key": "The records are partitioned by another key",
    "records-deleted": "Records are deleted that the live table was made of",
    "changed-meanwhile": "Another generation is live by now",
    "no-earlier-generation": "There is no generation to go back to",
    "live-generation": "The generation is live",
    "retired-generation": "The generation is retired",
    "not-caught-up": "The generation has not caught up",
    "no-table": "The generation has no table",
    "only-a-range": "The generation holds only a range",
    "branches-read-it": "Other datasets read the generation",
    "cycle": "Datasets would wait for each other",
    "origin-in-runs": "The rows of the other dataset come and go in runs",
    "ages-of-origin": "The rows of another source could not replace those that are there",
}
_MAY: Final = may_answer(
    HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE
)

Number = Annotated[int, Path(description="The number of the generation.", ge=1, examples=[2])]


@router.get("/datasets/{name}/generations", summary="List generations", responses=may_answer(HTTPStatus.NOT_FOUND))
def generations(name: models.Name, gateway: Parts, _: Seeing) -> models.Generations:
    """Every generation there is or was of a dataset, the newest first, and how far each has got."""
    dataset = known(gateway.datasets, name)
    return models.Generations(items=[_told(name, each) for each in gateway.generations.of(dataset)])


@router.post(
    "/datasets/{name}/generations", summary="Replay records by another version", responses=_MAY, status_code=201
)
def replay(name: models.Name, body: models.Replay, gateway: Parts, caller: Editing) -> models.Generation:
    """Have a dataset file, which may break what is live, make a generation beside the live one, from the first record on.

    What retention has deleted from the staged topic is read from the lake. Its tests are run first, unless `skip_tests` says why
    not. What is live does not change until the generation is promoted.

    Refused: a dataset that is loaded in runs, one with staged records that are in neither topic nor lake, other partitions, a key
    by which records are not partitioned (409); an empty range, a file that is not valid, or one of whose tests fails (422).
    """
    dataset = known(gateway.datasets, name)
    contract = load(body.document)
    if contract.dataset != name:
        detail = f"the file describes {contract.dataset}, the path names {name}"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "other-name", "The names differ", detail)
    permit_file(gateway, caller, contract)
    ingested = Range(body.ingested_from, body.ingested_to)
    if ingested.begin is not None and ingested.end is not None and ingested.begin >= ingested.end:
        detail = (
            f"the range ends at {ingested.end.isoformat()}, and begins at {ingested.begin.isoformat()}: no row is in it"
        )
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "empty-range", "The range is empty", detail)
    if body.skip_tests is None:
        refuse_failed_tests(gateway, contract)
    _refuse_deleted(gateway, dataset)

    def decide(live: Mapping[str, DatasetVersion]) -> DatasetVersion:
        current = _standing(live, name)
        refuse(propose(contract, live), breaking=False)
        _refuse(stands_against(contract, current.contract()))
        return replayed(current, contract, _act(caller.name, body), body.skip_tests or "", ingested)

    made = _append(gateway, decide)
    return _one(gateway, made, made.highest_generation)


@router.post("/datasets/{name}/generations/{number}/promote", summary="Make a generation live", responses=_MAY)
def promote(
    name: models.Name, number: Number, body: models.Promotion, gateway: Parts, caller: Operating
) -> models.Generation:
    """Have readers see this generation, and keep the one that was live to go back to. Of the live one, it changes nothing.

    It is live with this answer; its rows show a moment later, all of them at once: see `shown`.

    Refused: one that has not caught up within ten seconds, unless `force` is set; one that has no table yet; one that is
    retired, or holds only a range (409).
    """
    dataset = known(gateway.datasets, name)
    looked_at = _to_promote(dataset, number)
    if looked_at:
        refused = promoted(dataset, number, _act(caller.name, body))
        _refuse(refused if isinstance(refused, Refusal) else None)
        _refuse_early(gateway, dataset, number, force=body.force)

    def act(current: DatasetVersion) -> DatasetVersion | Refusal:
        if not looked_at and _to_promote(current, number):  # it was made a moment ago, or by another gateway
            raise Transient(f"how far generation {number} of {name} has got is not known here yet: ask again")
        return promoted(current, number, _act(caller.name, body))

    return _change(gateway, name, number, act)


@router.post("/datasets/{name}/generations/rollback", summary="Go back to the generation before", responses=_MAY)
def rollback(name: models.Name, body: models.Rollback, gateway: Parts, caller: Operating) -> models.Generation:
    """Have readers see the generation that was live before: it was loaded all the while. Asked again, it goes further back.

    Refused: when `leaving` is not the live one, or none is kept (409).
    """
    known(gateway.datasets, name)
    return _change(gateway, name, None, lambda current: rolled_back(current, body.leaving, _act(caller.name, body)))


@router.post("/datasets/{name}/generations/{number}/retire", summary="Give a generation up", responses=_MAY)
def retire(
    name: models.Name, number: Number, body: models.GenerationAct, gateway: Parts, caller: Operating
) -> models.Generation:
    """End a generation's work, then drop its topics, table and groups; for ever. Its number is not used again.

    Refused: the live one; one that a branch (`source.type: dataset`) still reads (409).
    """
    known(gateway.datasets, name)
    _refuse_read(gateway, name, number)
    return _change(gateway, name, number, lambda current: retired(current, number, _act(caller.name, body)))


def _to_promote(dataset: DatasetVersion, number: int) -> bool:
    """Whether promoting this generation would make another one live."""
    other = dataset.other(number)
    return other is not None and other.state != RETIRED


def _change(
    gateway: Gateway, name: str, number: int | None, act: Callable[[DatasetVersion], DatasetVersion | Refusal]
) -> models.Generation:
    """Do something to a generation; without a number, to the one that is live then."""

    def decide(live: Mapping[str, DatasetVersion]) -> DatasetVersion:
        found = act(_standing(live, name))
        if isinstance(found, Refusal):
            _refuse(found)
        assert isinstance(found, DatasetVersion)
        if found.generation != live[name].generation:
            refuse_pinned(gateway, name)
            _refuse(next(refusals_of_reading(found.contract(), live), None))
        return found

    changed = _append(gateway, decide)
    return _one(gateway, changed, changed.generation if number is None else number)


def _append(gateway: Gateway, decide: Callable[[Mapping[str, DatasetVersion]], DatasetVersion]) -> DatasetVersion:
    """Write what was decided, if it changes anything, and wait until it shows. Returns what stands then."""
    decided: list[DatasetVersion] = []

    def changed(live: Mapping[str, DatasetVersion]) -> DatasetVersion | None:
        version = decide(live)
        decided.append(version)
        return version if version != live[version.name] else None

    gateway.dataset_log.append(changed)
    stands = decided[-1]
    wait_until(lambda: gateway.datasets.get(stands.name) == stands)
    return stands


def _one(gateway: Gateway, dataset: DatasetVersion, number: int) -> models.Generation:
    """What stands of a generation, whether the projection shows it already or not."""
    return next(_told(dataset.name, each) for each in gateway.generations.of(dataset) if each.generation == number)


def _act(by: str, body: models.GenerationAct | models.Replay) -> Act:
    return Act(datetime.now(UTC), by, body.because)


def _standing(live: Mapping[str, DatasetVersion], name: str) -> DatasetVersion:
    if name not in live:
        raise not_found(f"there is no dataset {name}")
    return live[name]


def _refuse(refusal: Refusal | None) -> None:
    if refusal is None:
        return
    if refusal.code == "unknown-generation":
        raise not_found(refusal.detail)
    raise ProblemError(HTTPStatus.CONFLICT, refusal.code, _TITLES[refusal.code], refusal.detail)


def _refuse_deleted(gateway: Gateway, dataset: DatasetVersion) -> None:
    if missing := gateway.generations.deleted(dataset):
        detail = (
            f"{missing} offsets of {dataset.name}.staged are deleted by its retention, and the lake has none of their partitions "
            "(HEADRACE_LAKE_URI of the gateway): the generation would lack rows that the live one has; give the dataset another "
            "name and load it from its source"
        )
        _refuse(Refusal("records-deleted", detail))


def _refuse_read(gateway: Gateway, name: str, number: int) -> None:
    if branches := gateway.branches.reading(gateway.datasets.all().values(), name, number):
        detail = (
            f"{', '.join(branches)} would stop: they read generation {number} of {name} (source.type: dataset). Raise "
            "`source.snapshot` in their files and apply them: they read every row again, from the live generation"
        )
        _refuse(Refusal("branches-read-it", detail))


def _refuse_early(gateway: Gateway, dataset: DatasetVersion, number: int, *, force: bool) -> None:
    if not gateway.generations.has_table(dataset, number):
        detail = (
            f"no row of generation {number} was loaded yet: readers would see nothing; see: "
            f"headrace generations ls {dataset.name}"
        )
        _refuse(Refusal("no-table", detail))
    if not force and not gateway.generations.catches_up(dataset, number, _CATCH_UP_S):
        detail = (
            f"generation {number} of {dataset.name} is still behind the live one: wait, or set force; see: "
            f"headrace generations ls {dataset.name}"
        )
        _refuse(Refusal("not-caught-up", detail))


def _told(name: str, status: GenerationStatus) -> models.Generation:
    told = {key: value for key, value in asdict(status).items() if key != "reach"}
    nothing = dict.fromkeys(("read", "loaded", "quarantined", "filtered", "behind"), 0)
    return models.Generation(dataset=name, **told, **(asdict(status.reach) if status.reach else nothing))
