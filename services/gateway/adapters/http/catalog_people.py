"""Routes: rows as you see them, who uses a dataset, what is yours, what people write and say of it."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from headrace.access.book import Caller
from headrace.access.policy import Action
from services.gateway.adapters import thread_store
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Parts, Querying, Seeing, may_answer
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.models import catalog_people as bodies
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.adapters.http.recording import AUDITED_READ
from services.gateway.adapters.note_store import Note
from services.gateway.adapters.sampler import sampled
from services.gateway.gateway import Gateway

router = APIRouter(prefix=PREFIX, tags=["catalog"])

_MOST_USERS: Final = 50
_MOST_THREADS: Final = 200
_MOST_STATES: Final = 100
_CHANGED: Final = may_answer(HTTPStatus.CONFLICT)

ThreadId = Annotated[str, Path(description="The id of the thread.", pattern=r"^[0-9a-f]{32}$")]
RemarkId = Annotated[str, Path(description="The id of the remark.", pattern=r"^[0-9a-f]{32}$")]


@router.get(
    "/catalog/{name}/sample", summary="Some rows of a dataset", responses=may_answer(), openapi_extra=AUDITED_READ
)
def sample(
    name: models.Name,
    gateway: Parts,
    caller: Querying,
    limit: Annotated[int, Query(ge=1, le=100, description="The most rows.")] = 20,
) -> bodies.Sample:
    """Some rows, whichever come first, as you see them: no row that is hidden from you, and null for hidden values.

    There are none before the first row is loaded.
    """
    known(gateway.datasets, name)
    sight = caller.access.sight(Action.QUERY, gateway.assets.of(name))
    assert sight is not None  # `Querying`
    found = sampled(gateway.warehouse, name, sight, limit)
    gateway.catalog.usage.record([name], caller.principal.id, caller.name, "queries", datetime.now(UTC))
    return bodies.Sample(
        columns=[models.Column(name=column, type=kind) for column, kind in found.columns],
        rows=found.rows,
        hidden=found.hidden,
        filtered=sight.rows != "all",
    )


@router.get("/catalog/{name}/usage", summary="Who uses a dataset", responses=may_answer())
def usage(
    name: models.Name,
    gateway: Parts,
    _: Seeing,
    days: Annotated[int, Query(ge=1, le=366, description="Over how many days, today included.")] = 30,
) -> bodies.Usage:
    """How often it is queried and exported, by day and by whom."""
    known(gateway.datasets, name)
    since = (datetime.now(UTC) - timedelta(days=days - 1)).date()
    by_day, users = gateway.catalog.usage.days(name, since), gateway.catalog.usage.users(name, since)
    return bodies.Usage(
        days=[bodies.UsageDay(day=day, queries=queries, exports=exports) for day, queries, exports in by_day],
        users=[
            bodies.UsageUser(name=user.name, queries=user.queries, exports=user.exports, last_at=user.last_at)
            for user in users[:_MOST_USERS]
        ],
        queries=sum(user.queries for user in users),
        exports=sum(user.exports for user in users),
        last_used_at=max((user.last_at for user in users), default=None),
    )


@router.put("/catalog/{name}/favourite", summary="Mark a dataset as yours", responses=may_answer(), status_code=204)
def mark(name: models.Name, gateway: Parts, caller: Seeing) -> None:
    """Find it again with `GET /catalog?favourites=true`."""
    known(gateway.datasets, name)
    gateway.catalog.favourites.mark(caller.principal.id, name, datetime.now(UTC))


@router.delete("/catalog/{name}/favourite", summary="Take the mark away", responses=may_answer(), status_code=204)
def unmark(name: models.Name, gateway: Parts, caller: Seeing) -> None:
    """It is none of yours any more. Asked again, it changes nothing."""
    gateway.catalog.favourites.unmark(caller.principal.id, name)


@router.get("/catalog/{name}/notes", summary="What was written of a dataset or a column", responses=may_answer())
def notes(
    name: models.Name,
    gateway: Parts,
    _: Seeing,
    column: Annotated[str, Query(max_length=128, description="The column; the dataset when left out.")] = "",
) -> bodies.Notes:
    """Every state of a note, the newest first: who wrote it, and when. At most a hundred."""
    known(gateway.datasets, name)
    return bodies.Notes(items=[_note(each) for each in gateway.catalog.notes.history(name, column, _MOST_STATES)])


@router.put("/catalog/{name}/notes", summary="Write a note on a dataset or a column", responses=_CHANGED)
def write_note(name: models.Name, body: bodies.NoteEdit, gateway: Parts, caller: Querying) -> bodies.Note:
    """What people should know that the file does not say. For those who may query the dataset; every state of it is kept.

    Refused: when another state stands than `over` (409).
    """
    known(gateway.datasets, name)
    who = caller.principal.id, caller.name
    written = gateway.catalog.notes.write(name, body.column, body.text, *who, datetime.now(UTC), body.over)
    return _note(_standing(written, name))


@router.post("/catalog/{name}/notes/undo", summary="Have the state before stand again", responses=_CHANGED)
def undo_note(name: models.Name, body: bodies.NoteUndo, gateway: Parts, caller: Querying) -> bodies.Note:
    """The note becomes what it was before this state. Undone once more, it becomes what it is now.

    Refused: when another state stands than `over` (409).
    """
    known(gateway.datasets, name)
    who = caller.principal.id, caller.name
    return _note(_standing(gateway.catalog.notes.undo(name, body.column, body.over, *who, datetime.now(UTC)), name))


@router.get("/catalog/{name}/threads", summary="What people say of a dataset", responses=may_answer())
def threads(name: models.Name, gateway: Parts, caller: Seeing) -> bodies.Threads:
    """Questions and answers, about the dataset or a column."""
    known(gateway.datasets, name)
    found: Sequence[thread_store.Thread] = gateway.catalog.threads.of(name, _MOST_THREADS)
    return bodies.Threads(items=[_thread(each, caller) for each in found])


@router.post("/catalog/{name}/threads", summary="Ask or tell something", responses=may_answer(), status_code=201)
def begin(name: models.Name, body: bodies.NewThread, gateway: Parts, caller: Seeing) -> bodies.Thread:
    """Begin a thread: whoever may see the dataset reads it and may reply."""
    known(gateway.datasets, name)
    who = caller.principal.id, caller.name
    thread = gateway.catalog.threads.begin(name, body.column, body.text, *who, datetime.now(UTC))
    return _one(gateway, caller, name, thread)


@router.post("/catalog/{name}/threads/{thread}/remarks", summary="Reply", responses=may_answer(), status_code=201)
def reply(name: models.Name, thread: ThreadId, body: bodies.NewRemark, gateway: Parts, caller: Seeing) -> bodies.Thread:
    """Say something in a thread. It is open again if it was resolved."""
    _one(gateway, caller, name, thread)
    gateway.catalog.threads.reply(thread, body.text, caller.principal.id, caller.name, datetime.now(UTC))
    return _one(gateway, caller, name, thread)


@router.put("/catalog/{name}/threads/{thread}/resolution", summary="Resolve a thread", responses=may_answer())
def resolve(name: models.Name, thread: ThreadId, gateway: Parts, caller: Seeing) -> bodies.Thread:
    """Say that there is nothing left to say."""
    _one(gateway, caller, name, thread)
    gateway.catalog.threads.settle(thread, datetime.now(UTC), caller.name)
    return _one(gateway, caller, name, thread)


@router.delete("/catalog/{name}/threads/{thread}/resolution", summary="Open a thread again", responses=may_answer())
def reopen(name: models.Name, thread: ThreadId, gateway: Parts, caller: Seeing) -> bodies.Thread:
    """Say that there is more to say."""
    _one(gateway, caller, name, thread)
    gateway.catalog.threads.settle(thread, None, "")
    return _one(gateway, caller, name, thread)


@router.put("/catalog/{name}/threads/{thread}/remarks/{remark}", summary="Say it otherwise", responses=may_answer())
def edit(
    name: models.Name, thread: ThreadId, remark: RemarkId, body: bodies.NewRemark, gateway: Parts, caller: Seeing
) -> bodies.Thread:
    """Change what you said. Others cannot (403)."""
    return _edited(gateway, caller, name, thread, remark, body.text)


@router.delete("/catalog/{name}/threads/{thread}/remarks/{remark}", summary="Take it back", responses=may_answer())
def take_back(name: models.Name, thread: ThreadId, remark: RemarkId, gateway: Parts, caller: Seeing) -> bodies.Thread:
    """Delete the text of what you said; that you said something stays. Others cannot (403)."""
    return _edited(gateway, caller, name, thread, remark, None)


def _edited(gateway: Gateway, caller: Caller, name: str, thread: str, remark: str, text: str | None) -> bodies.Thread:
    said = next((each for each in _one(gateway, caller, name, thread).remarks if each.id == remark), None)
    if said is None or said.deleted:
        raise not_found(f"there is no remark {remark} in this thread, or it was taken back")
    if not gateway.catalog.threads.edit(remark, caller.principal.id, text, datetime.now(UTC)):
        detail = f"{said.by} said it: only they may change it or take it back"
        raise ProblemError(HTTPStatus.FORBIDDEN, "not-yours", "It is not yours", detail)
    return _one(gateway, caller, name, thread)


def _one(gateway: Gateway, caller: Caller, name: str, thread: str) -> bodies.Thread:
    found = gateway.catalog.threads.get(name, thread)
    if found is None:
        raise not_found(f"there is no thread {thread} of {name}")
    return _thread(found, caller)


def _thread(thread: thread_store.Thread, caller: Caller) -> bodies.Thread:
    told = {field: value for field, value in asdict(thread).items() if field in bodies.Thread.model_fields}
    remarks = [
        bodies.Remark(
            id=each.id,
            text=each.text,
            by=each.author_name,
            at=each.at,
            edited_at=each.edited_at,
            deleted=each.deleted,
            yours=each.author == caller.principal.id and not each.deleted,
        )
        for each in thread.remarks
    ]
    return bodies.Thread(**told | {"remarks": remarks})


def _standing(written: Note | None, name: str) -> Note:
    if written is None:
        detail = f"somebody else has written a note on {name} meanwhile, or there is none: look at it, and write yours over it"
        raise ProblemError(HTTPStatus.CONFLICT, "changed-meanwhile", "The note has changed meanwhile", detail)
    return written


def _note(note: Note) -> bodies.Note:
    return bodies.Note(id=note.id, column=note.column, text=note.text, by=note.author_name, at=note.at)
