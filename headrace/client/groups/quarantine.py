"""Calls about rows that were set aside: which they are, what is to become of them, and waiting until it has."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypedDict, Unpack

from headrace.client.call import Call, Lines, get, post
from headrace.client.errors import NotSettled
from headrace.client.flow import Flow, Pause, done
from headrace.client.method import Group, WireT, call, flow, lines
from headrace.client.results import (
    DriftDecided,
    Fingerprints,
    MadeTest,
    Quarantine,
    QuarantineAsked,
    QuarantinedRow,
    QuarantinedRowInFull,
    QuarantineOutcome,
)

_ASKING_S: Final = 300.0  # many rows are asked for one by one
_TRACING_S: Final = 90.0  # each row's record is looked for in several topics


class Causes(TypedDict, total=False):
    """What set rows aside."""

    stage: str | None
    reason: str | None
    rule: str | None
    column: str | None
    shape: str | None


class Choice(Causes, total=False):
    """Which open rows; `all_matching` is every one, where neither ids nor a cause are given. `dry_run` changes nothing."""

    ids: Sequence[str]
    assigned_to: str | None
    all_matching: bool
    dry_run: bool


class QuarantineCalls(Group[WireT]):
    """Rows that were set aside."""

    @call
    def get(
        self,
        dataset: str,
        reason: str | None = None,
        limit: int = 100,
        *,
        everything: bool = False,
        assigned_to: str | None = None,
    ) -> Call[Quarantine]:
        """The rows that are set aside, clustered by cause; `limit` of them in full.

        `everything` are also those that were resubmitted or discarded since; `assigned_to` is a person, or '' for nobody.
        """
        params = {"reason": reason or None, "limit": limit, "assigned_to": assigned_to, "all": everything}
        return get("/datasets/{name}/quarantine", name=dataset).asking(**params).one(Quarantine)

    @call
    def clusters(self, dataset: str, hours: int = 24, *, everything: bool = False) -> Call[Fingerprints]:
        """The rows that are set aside by what is wrong with them; the trend is that of so many hours."""
        request = get("/datasets/{name}/quarantine/clusters", name=dataset)
        return request.asking(hours=hours, all=everything).one(Fingerprints)

    @lines
    def export(self, dataset: str, *, everything: bool = False, **causes: Unpack[Causes]) -> Lines[QuarantinedRow]:
        """Every row that is set aside, in full."""
        request = get("/datasets/{name}/quarantine/export", name=dataset)
        return request.asking(**causes, all=everything).within(_ASKING_S).lines(QuarantinedRow)

    @call
    def row(self, dataset: str, row_id: str) -> Call[QuarantinedRowInFull]:
        """One row that was set aside."""
        return get("/datasets/{name}/quarantine/{row_id}", name=dataset, row_id=row_id).one(QuarantinedRowInFull)

    @call
    def as_test(self, dataset: str, row_id: str, clear: Iterable[str] = ()) -> Call[MadeTest]:
        """A test of what the live version makes of a row that was set aside; the columns in `clear` get no stand-ins."""
        request = get("/datasets/{name}/quarantine/{row_id}/test", name=dataset, row_id=row_id)
        return request.asking(clear=tuple(clear)).within(_TRACING_S).one(MadeTest)

    @call
    def resubmit(
        self,
        dataset: str,
        because: str,
        *,
        set: Mapping[str, str] | None = None,
        patch: Sequence[Mapping[str, Any]] | None = None,
        **chosen: Unpack[Choice],
    ) -> Call[QuarantineAsked]:
        """Have rows read anew, edited if asked: `set` has columns by SQL expressions, `patch` is a JSON Patch."""
        return _asked(dataset, "resubmit", because=because, set=set, patch=patch, **chosen)

    @call
    def discard(self, dataset: str, because: str, **chosen: Unpack[Choice]) -> Call[QuarantineAsked]:
        """Give rows up. They stay in the books."""
        return _asked(dataset, "discard", because=because, **chosen)

    @call
    def assign(self, dataset: str, to: str, because: str, **chosen: Unpack[Choice]) -> Call[QuarantineAsked]:
        """Say who is to see to rows."""
        return _asked(dataset, "assign", to=to, because=because, **chosen)

    @call
    def unassign(self, dataset: str, because: str, **chosen: Unpack[Choice]) -> Call[QuarantineAsked]:
        """Take rows back from whom they are assigned to."""
        return _asked(dataset, "unassign", because=because, **chosen)

    @call
    def outcome(self, dataset: str, request: str) -> Call[QuarantineOutcome]:
        """What became of a request so far."""
        return _outcome(dataset, request)

    @flow
    def wait(
        self, dataset: str, asked: QuarantineAsked | DriftDecided, timeout_s: float = 600, poll_s: float = 0.3
    ) -> Flow[QuarantineOutcome]:
        """Wait until something became of every row that was asked for. Errors: NotSettled when the time is up."""
        deadline = time.monotonic() + timeout_s
        found = QuarantineOutcome(request=asked.request or "")
        while asked.request is not None:
            found = yield from done(_outcome(dataset, asked.request))
            if found.settled >= asked.rows:
                break
            if time.monotonic() >= deadline:
                raise NotSettled(
                    f"Something became of {found.settled:,} of {asked.rows:,} rows within {timeout_s:g} s; the rest goes on. "
                    f"See whether ingest and the loader run: headrace status {dataset}"
                )
            yield Pause(poll_s)
        return found


def _asked(
    dataset: str, act: Literal["resubmit", "discard", "assign", "unassign"], **body: Any
) -> Call[QuarantineAsked]:
    request = post(f"/datasets/{{name}}/quarantine/{act}", name=dataset).with_body(**body)
    return request.within(_ASKING_S).one(QuarantineAsked)


def _outcome(dataset: str, request: str) -> Call[QuarantineOutcome]:
    return get("/datasets/{name}/quarantine/requests/{request}", name=dataset, request=request).one(QuarantineOutcome)
