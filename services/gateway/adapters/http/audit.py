"""Routes: the audit log. Each of them is audited itself."""

import csv
import io
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from http import HTTPStatus
from itertools import chain, islice
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from headrace.audit import FIELDS, Entry, verified
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Administering, Parts, may_answer
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.adapters.http.recording import AUDITED_READ, at_hand, note
from services.gateway.adapters.http.streamed import NDJSON
from services.gateway.core.audit_acts import AuditedAct, Wanted, cursor_of, microseconds, moment_of, place_of
from services.gateway.core.auditing import formula_safe

router = APIRouter(prefix=PREFIX, tags=["audit"])

_CSV: Final = "text/csv"
_LINES_AT_ONCE: Final = 500
_STORABLE: Final = r"^[^\x00]*$"


def _wanted(
    actor: Annotated[
        str | None, Query(description="Only what this one did, by name.", max_length=200, pattern=_STORABLE)
    ] = None,
    action: Annotated[
        str | None,
        Query(
            description="Only actions that contain this.",
            max_length=200,
            pattern=_STORABLE,
            examples=["/query", "sign-in"],
        ),
    ] = None,
    dataset: Annotated[
        str | None, Query(description="Only what was about this dataset.", max_length=200, pattern=_STORABLE)
    ] = None,
    text: Annotated[
        str | None,
        Query(
            description="Only what has this text in who, what, from where, or the details.",
            max_length=200,
            pattern=_STORABLE,
        ),
    ] = None,
    since: Annotated[AwareDatetime | None, Query(description="Only what began then or later.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Only what began before.")] = None,
) -> Wanted:
    return Wanted(actor, action, dataset, None, text, microseconds(since), microseconds(until))


_Chosen = Annotated[Wanted, Depends(_wanted)]


@router.get(
    "/audit", summary="List what was done", responses=may_answer(HTTPStatus.FORBIDDEN), openapi_extra=AUDITED_READ
)
def acts(
    gateway: Parts,
    _: Administering,
    chosen: _Chosen,
    outcome: Annotated[models.AuditOutcome | None, Query(description="Only what ended like this.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most acts to show.")] = 100,
    cursor: Annotated[str | None, Query(max_length=500, description="The `next_cursor` of the page before.")] = None,
) -> models.AuditedActs:
    """Who did what, when and from where, the newest first, and how it ended. Asking this is not among it yet."""
    before = place_of(cursor) if cursor is not None else None
    if cursor is not None and before is None:
        detail = f"{cursor} is no cursor: send the `next_cursor` of the page before as it came"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "no-cursor", "There is no such page", detail)
    wanted = Wanted(**{**asdict(chosen), "outcome": outcome})
    found = gateway.audit.page(wanted, before, limit + 1, but=at_hand())
    shown = found[:limit]
    further = cursor_of(shown[-1].place) if len(found) > limit else None
    return models.AuditedActs(items=[models.AuditedAct(**_shown(each)) for each in shown], next_cursor=further)


@router.get(
    "/audit/verify",
    summary="Check that the audit log is what was written",
    responses=may_answer(HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE),
    openapi_extra=AUDITED_READ,
)
def verify(gateway: Parts, _: Administering) -> models.AuditVerification:
    """Walk every chain, from its first entry to its last, and compare it with the head that was anchored in Kafka.

    Found is the first entry of a chain that was changed, is missing or stands in another place, what was cut off at the end or
    written anew, and chains that no gateway has announced. Every entry is read: it takes a while where there are many.
    """
    heads = gateway.audit_anchor.heads()  # before the entries: these only grow
    chains = list(verified(gateway.audit.entries(), heads, time.time_ns() // 1000))
    broken = [each.finding for each in chains if each.finding is not None]
    note(chains=len(chains), broken=[asdict(each) for each in broken])
    return models.AuditVerification(
        ok=not broken,
        entries=sum(each.entries for each in chains),
        unproven=sum(each.unproven for each in chains),
        chains=[models.AuditChain.model_validate(asdict(each)) for each in chains],
    )


@router.get(
    "/audit/export",
    summary="Download the audit log",
    response_class=StreamingResponse,
    responses=may_answer(HTTPStatus.FORBIDDEN)
    | {
        HTTPStatus.OK.value: {
            "description": "A line for each entry, chain by chain.",
            "content": {NDJSON: {"schema": {"type": "string"}}, _CSV: {"schema": {"type": "string"}}},
        }
    },
    openapi_extra=AUDITED_READ,
)
def export(
    gateway: Parts,
    _: Administering,
    chosen: _Chosen,
    form: Annotated[Literal["ndjson", "csv"], Query(alias="format", description="How entries are written.")] = "ndjson",
) -> StreamingResponse:
    """Every entry as it is stored, its place in its chain and its hash among the fields: two for most acts.

    Lines of JSON can be checked with `headrace audit verify --file`, if no filter but `until` was used. In CSV, text that a
    spreadsheet would take for a formula has a `'` in front.
    """
    entries = gateway.audit.entries(chosen)
    first = list(islice(entries, 1))  # before the status is sent: where the database is away, it is an error
    written = _counted(chain(first, entries))
    lines = _csv(written) if form == "csv" else (json.dumps(asdict(entry)) + "\n" for entry in written)
    return StreamingResponse(_joined(lines), media_type=_CSV if form == "csv" else NDJSON)


@router.get(
    "/audit/{act_id}",
    summary="Show one act",
    responses=may_answer(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
    openapi_extra=AUDITED_READ,
)
def act(
    act_id: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", examples=["24d2fa7229014f7a08f7d6843630af42"])],
    gateway: Parts,
    _: Administering,
) -> models.AuditedActInFull:
    """One act in full, with its entries and their places in the chain."""
    found = gateway.audit.act(act_id)
    if found is None:
        raise not_found(f"there is no act {act_id}; list them: headrace audit ls")
    entries = [each for each in (found.first, found.ended) if each is not None]
    return models.AuditedActInFull(
        **_shown(found),
        entries=[
            models.AuditEntry(
                writer=each.writer,
                seq=each.seq,
                prev_hash=each.prev_hash,
                hash=each.hash,
                phase=each.phase,
                at=moment_of(each.at_us),
            )
            for each in entries
        ],
    )


def _shown(found: AuditedAct) -> dict[str, object]:
    first, ended = found.first, found.ended
    last = ended or first
    same = ("id", "credential", "action", "address", "user_agent", "request_id")
    who = first if first.actor_id else last  # who signs in is known in the end
    return {
        **{name: getattr(first, name) for name in same},
        "actor": who.actor,
        "actor_id": who.actor_id,
        "at": moment_of(first.at_us),
        "ended_at": None if last.phase == "begun" else moment_of(last.at_us),
        "datasets": found.datasets,
        "status": last.status or None,
        "outcome": found.outcome,
        "details": found.details,
    }


def _counted(entries: Iterator[Entry]) -> Iterator[Entry]:
    """The entries; how many they were is audited."""
    number = 0
    for entry in entries:
        number += 1
        yield entry
    note(entries=number)


def _csv(entries: Iterator[Entry]) -> Iterator[str]:
    yield _row(["at", *FIELDS])
    for entry in entries:
        values = [moment_of(entry.at_us).isoformat(), *(getattr(entry, name) for name in FIELDS)]
        yield _row([formula_safe(each) if isinstance(each, str) else str(each) for each in values])


def _row(values: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _joined(lines: Iterator[str]) -> Iterator[str]:
    """Many lines at once: each part of an answer is a turn of a thread."""
    while part := "".join(islice(lines, _LINES_AT_ONCE)):
        yield part
