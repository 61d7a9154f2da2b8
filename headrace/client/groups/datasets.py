"""Calls about datasets: their files, what they are doing, their books, their newest records; and waiting for them to settle."""

import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Final

from headrace.client.call import Call, Lines, ask, get, put
from headrace.client.errors import ApiError, NotSettled, Stopped, Unreachable
from headrace.client.flow import Flow, Pause, done
from headrace.client.items import Items
from headrace.client.method import Group, WireT, call, flow, lines
from headrace.client.progress import settling
from headrace.client.results import Applied, BackTestPart, Dataset, DatasetStatus, Ledger, Plan, TailRecord
from headrace.client.retries import PASSING

_APPLY_S: Final = 100.0  # longer than the gateway gives the tests of a dataset file
_BACK_TEST_S: Final = 630.0  # longer than the gateway waits for a back-test
_REASONS_SHOWN: Final = 3


class Datasets(Group[WireT]):
    """Datasets."""

    @call
    def list(self) -> Call[Items[Dataset]]:
        """Every dataset, by name."""
        return get("/datasets").items(Dataset)

    @call
    def get(self, dataset: str) -> Call[Dataset]:
        """One dataset with its file."""
        return get("/datasets/{name}", name=dataset).one(Dataset)

    @call
    def plan(self, document: str) -> Call[Plan]:
        """What applying this dataset file would change. Changes nothing."""
        return ask("/plan").with_body(document=document).one(Plan)

    @call
    def apply(self, dataset: str, document: str, *, skip_tests: str | None = None) -> Call[Applied]:
        """Make this dataset file the live version. Applying the live version again changes nothing.

        The gateway refuses it when one of its tests fails, unless `skip_tests` says why they are not to be run, which goes
        on record.
        """
        request = put("/datasets/{name}", name=dataset).with_body(document=document, skip_tests=skip_tests)
        return request.within(_APPLY_S).one(Applied)

    @lines
    def back_test(self, document: str, rows: int | None = None, *, hours: int | None = None) -> Lines[BackTestPart]:
        """What this dataset file would make of about so many of the newest rows, beside the live version. Changes nothing.

        With `hours`: of the rows that were staged within so many hours, at most `rows` (the gateway's limit).
        """
        request = ask("/plan/back-test").with_body(document=document, rows=rows, hours=hours)
        return request.within(_BACK_TEST_S).lines(BackTestPart)

    @call
    def status(self, dataset: str | None = None) -> Call[Items[DatasetStatus]]:
        """What every stage of every dataset, or of one, is doing."""
        return get("/status").asking(dataset=dataset or None).items(DatasetStatus)

    @call
    def ledger(self, dataset: str) -> Call[Ledger]:
        """Where every row of a dataset went."""
        return _ledger(dataset)

    @call
    def tail(self, dataset: str, stage: str = "validated", limit: int = 10) -> Call[Items[TailRecord]]:
        """The newest records of one of a dataset's topics, oldest first."""
        return get("/datasets/{name}/tail", name=dataset).asking(stage=stage, limit=limit).items(TailRecord)

    @flow
    def wait_settled(
        self,
        dataset: str,
        timeout_s: float = 600,
        on_progress: Callable[[Ledger], None] | None = None,
        poll_s: float = 0.5,
        *,
        progress: bool = False,
    ) -> Flow[Ledger]:
        """Wait until everything the source had has reached its fate, and return the books. See `wait_all_settled`."""
        with settling() if progress else nullcontext(on_progress) as tell:
            settled = yield from _all_settled([dataset], timeout_s, tell, poll_s)
        return settled[dataset]

    @flow
    def wait_all_settled(
        self,
        datasets: Iterable[str],
        timeout_s: float = 600,
        on_progress: Callable[[Ledger], None] | None = None,
        poll_s: float = 0.5,
        *,
        progress: bool = False,
    ) -> Flow[dict[str, Ledger]]:
        """Wait until every one of these datasets has settled; a gateway that restarts meanwhile is waited for.

        `on_progress` is told the books at each look; with `progress` they are shown, on a terminal or in a notebook.

        Errors: Stopped when a service has given one of them up, NotSettled when the time is up, ApiError when the
        gateway refuses.
        """
        with settling() if progress else nullcontext(on_progress) as tell:
            return (yield from _all_settled(datasets, timeout_s, tell, poll_s))


def _ledger(dataset: str) -> Call[Ledger]:
    return get("/datasets/{name}/ledger", name=dataset).one(Ledger)


def _all_settled(
    datasets: Iterable[str], timeout_s: float, on_progress: Callable[[Ledger], None] | None, poll_s: float
) -> Flow[dict[str, Ledger]]:
    deadline = time.monotonic() + timeout_s
    moving = dict.fromkeys(datasets, "nothing was heard of it")
    settled: dict[str, Ledger] = {}
    while True:
        for dataset in tuple(moving):
            try:
                ledger = yield from done(_ledger(dataset))
            except (ApiError, Unreachable) as error:
                if isinstance(error, ApiError) and error.status not in PASSING:
                    raise
                moving[dataset] = str(error)
                continue
            if on_progress:
                on_progress(ledger)
            if ledger.problems:
                raise Stopped("\n".join(ledger.problems))
            moving[dataset] = _why_moving(ledger)
            if ledger.settled:
                settled[dataset] = ledger
                del moving[dataset]
        if not moving:
            return settled
        if time.monotonic() >= deadline:
            still = "\n".join(f"  {dataset}: {state}" for dataset, state in moving.items())
            raise NotSettled(f"Not settled within {timeout_s:g} s:\n{still}")
        yield Pause(poll_s)


def _why_moving(ledger: Ledger) -> str:
    more = len(ledger.waiting_for) - _REASONS_SHOWN
    return "; ".join(
        [
            f"{ledger.in_flight:,} of {ledger.read:,} rows read are in flight",
            *ledger.waiting_for[:_REASONS_SHOWN],
            *([f"and {more} more"] if more > 0 else []),
        ]
    )
