"""What a gateway can be asked, and waiting for what it was asked."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from headrace.client.calls import DEFAULT_URL, UNAVAILABLE, Calls
from headrace.client.errors import ApiError, NotSettled, Stopped, Unreachable
from headrace.client.exports import Exports
from headrace.client.results import (
    Applied,
    Asked,
    BackTestPart,
    Dataset,
    DatasetStatus,
    Drift,
    DriftDecided,
    Fingerprints,
    Generation,
    HeldRow,
    Ledger,
    MadeTest,
    Override,
    Passport,
    Passports,
    Plan,
    Quarantine,
    QuarantineAsked,
    QuarantinedRow,
    QuarantinedRowInFull,
    QuarantineOutcome,
    QueryResult,
    RotatedSecrets,
    Run,
    RunStory,
    Secret,
    Secrets,
    SourceHolding,
    SourcePart,
    TailRecord,
    Version,
    Wish,
)
from headrace.client.results.generation_diffs import DiffPart

_REASONS_SHOWN: Final = 3
_ASKING_S: Final = 300.0  # many rows are asked for one by one
_APPLY_S: Final = 100.0  # longer than the gateway gives the tests of a dataset file
_BACK_TEST_S: Final = 630.0  # longer than the gateway waits for a back-test
_DIFF_S: Final = 630.0  # between two lines of an answer; the gateway stops a query long before
_TRACING_S: Final = 90.0  # each row's record is looked for in several topics
_SOURCE_S: Final = 130.0  # longer than the gateway waits for a source


class Client:
    """A connection to one gateway. Use it as a context manager, or call `close`.

    Errors: ApiError when the gateway says no, Unreachable when it does not answer.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str | None = None,
        *,
        timeout_s: float = 30,
        retries: int = 4,
        backoff_s: float = 0.2,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._calls = Calls(self.url, token, timeout_s, retries, backoff_s, transport)
        self.exports = Exports(self._calls)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._calls.close()

    def version(self) -> Version:
        """Which version the gateway runs."""
        return self._calls.read(Version, self._calls.send("GET", "/version"))

    def plan(self, document: str) -> Plan:
        """What applying this dataset file would change. Changes nothing."""
        return self._calls.read(Plan, self._calls.send("POST", "/plan", json={"document": document}))

    def apply(self, name: str, document: str, *, skip_tests: str | None = None) -> Applied:
        """Make this dataset file the live version. Applying the live version again changes nothing.

        The gateway refuses it when one of its tests fails, unless `skip_tests` says why they are not to be run, which goes
        on record.
        """
        body = {"document": document} | ({"skip_tests": skip_tests} if skip_tests is not None else {})
        timeout = httpx.Timeout(_APPLY_S, connect=5)
        return self._calls.read(
            Applied, self._calls.send("PUT", _dataset(name), safe=False, json=body, timeout=timeout)
        )

    def back_test(self, document: str, rows: int | None = None, *, hours: int | None = None) -> Iterator[BackTestPart]:
        """What this dataset file would make of about so many of the newest rows, beside the live version. Changes nothing.

        With `hours`: of the rows that were staged within so many hours, at most `rows` (the gateway's limit).
        """
        timeout = httpx.Timeout(_BACK_TEST_S, connect=5)
        body = {"document": document, "rows": rows, "hours": hours}
        return self._calls.lines(BackTestPart, "/plan/back-test", json=body, timeout=timeout)

    def diff(
        self, dataset: str, generation: int, *, against: int | None = None, sample: int = 20
    ) -> Iterator[DiffPart]:
        """What differs between a generation of a dataset and another (the live one). Changes nothing."""
        params = {"sample": str(sample)} | ({"against": str(against)} if against is not None else {})
        timeout = httpx.Timeout(_DIFF_S, connect=5)
        path = _dataset(dataset, "generations", str(generation), "diff")
        return self._calls.lines(DiffPart, path, method="GET", params=params, timeout=timeout)

    def inspect_source(self, document: str, *, discover: bool = False) -> Iterator[SourcePart]:
        """Try the source of a dataset file step by step; with `discover`, also describe what it offers. Saves nothing."""
        act = "discover" if discover else "check"
        timeout = httpx.Timeout(_SOURCE_S, connect=5)
        return self._calls.lines(SourcePart, f"/sources/{act}", json={"document": document}, timeout=timeout)

    def datasets(self) -> list[Dataset]:
        """Every dataset, by name."""
        return self._calls.items(Dataset, self._calls.send("GET", "/datasets"))

    def dataset(self, name: str) -> Dataset:
        """One dataset with its file."""
        return self._calls.read(Dataset, self._calls.send("GET", _dataset(name)))

    def status(self, dataset: str | None = None) -> list[DatasetStatus]:
        """What every stage of every dataset, or of one, is doing."""
        params = {"dataset": dataset} if dataset else {}
        return self._calls.items(DatasetStatus, self._calls.send("GET", "/status", params=params))

    def ledger(self, dataset: str) -> Ledger:
        """Where every row of a dataset went."""
        return self._calls.read(Ledger, self._calls.send("GET", _dataset(dataset, "ledger")))

    def quarantine(
        self,
        dataset: str,
        reason: str | None = None,
        limit: int = 100,
        *,
        everything: bool = False,
        assigned_to: str | None = None,
    ) -> Quarantine:
        """The rows that are set aside, clustered by cause; `limit` of them in full.

        `everything` are also those that were resubmitted or discarded since; `assigned_to` is a person, or '' for nobody.
        """
        params = {"limit": str(limit)} | ({"reason": reason} if reason else {})
        params |= {"assigned_to": assigned_to} if assigned_to is not None else {}
        params |= {"all": "true"} if everything else {}
        return self._calls.read(Quarantine, self._calls.send("GET", _dataset(dataset, "quarantine"), params=params))

    def quarantine_clusters(self, dataset: str, hours: int = 24, *, everything: bool = False) -> Fingerprints:
        """The rows that are set aside by what is wrong with them; the trend is that of so many hours."""
        params = {"hours": str(hours), "all": str(everything).lower()}
        path = _dataset(dataset, "quarantine", "clusters")
        return self._calls.read(Fingerprints, self._calls.send("GET", path, params=params))

    def export_quarantine(
        self, dataset: str, *, everything: bool = False, **causes: str | None
    ) -> Iterator[QuarantinedRow]:
        """Every row that is set aside, in full. `causes`: stage, reason, rule, column, shape."""
        params = {name: value for name, value in causes.items() if value is not None}
        params |= {"all": str(everything).lower()}
        path = _dataset(dataset, "quarantine", "export")
        return self._calls.lines(QuarantinedRow, path, method="GET", params=params, timeout=_ASKING_S)

    def quarantined(self, dataset: str, row_id: str) -> QuarantinedRowInFull:
        """One row that was set aside."""
        return self._calls.read(QuarantinedRowInFull, self._calls.send("GET", _dataset(dataset, "quarantine", row_id)))

    def passport(self, dataset: str, row_id: str, contributors: int = 5) -> Passport:
        """What a raw record was and what became of it; `row_id` is its partition:offset, as rows of the table carry it.

        Of a record that a model made: also how many, and the first `contributors`, rows of each dataset it was made of.
        """
        path = _dataset(dataset, "rows", row_id, "passport")
        return self._calls.read(
            Passport, self._calls.send("GET", path, params={"contributors": contributors}, timeout=_TRACING_S)
        )

    def passports(self, dataset: str, where: str, limit: int = 5, contributors: int = 5) -> Passports:
        """The passports of the rows of a dataset's table that meet a condition. `contributors`: see `passport`."""
        body = {"where": where, "limit": limit, "contributors": contributors}
        path = _dataset(dataset, "rows", "passport")
        return self._calls.read(Passports, self._calls.send("POST", path, json=body, timeout=_TRACING_S))

    def row_as_test(self, dataset: str, row_id: str, clear: Iterable[str] = ()) -> MadeTest:
        """A test of what the live version makes of a raw record; the columns in `clear` get no stand-ins."""
        return self._made_test(_dataset(dataset, "rows", row_id, "test"), clear)

    def quarantined_as_test(self, dataset: str, row_id: str, clear: Iterable[str] = ()) -> MadeTest:
        """The same of a quarantined row."""
        return self._made_test(_dataset(dataset, "quarantine", row_id, "test"), clear)

    def _made_test(self, path: str, clear: Iterable[str]) -> MadeTest:
        params = {"clear": list(clear)}
        return self._calls.read(MadeTest, self._calls.send("GET", path, params=params, timeout=_TRACING_S))

    def ask_quarantine(
        self, dataset: str, act: Literal["resubmit", "discard", "assign", "unassign"], **asked: Any
    ) -> QuarantineAsked:
        """Have quarantined rows read anew, given up, or assigned to somebody.

        `asked`: the body of the route, see `/docs` of the gateway.
        """
        path = _dataset(dataset, "quarantine", act)
        body = {name: value for name, value in asked.items() if value is not None}
        return self._calls.read(
            QuarantineAsked, self._calls.send("POST", path, safe=False, json=body, timeout=_ASKING_S)
        )

    def quarantine_outcome(self, dataset: str, request: str) -> QuarantineOutcome:
        """What became of a request so far."""
        return self._calls.read(
            QuarantineOutcome, self._calls.send("GET", _dataset(dataset, "quarantine", "requests", request))
        )

    def wait_quarantine(
        self, dataset: str, asked: QuarantineAsked | DriftDecided, timeout_s: float = 600, poll_s: float = 0.3
    ) -> QuarantineOutcome:
        """Wait until something became of every row that was asked for. Errors: NotSettled when the time is up."""
        deadline = time.monotonic() + timeout_s
        found = QuarantineOutcome(request=asked.request or "")
        while asked.request is not None:
            found = self.quarantine_outcome(dataset, asked.request)
            if found.settled >= asked.rows:
                break
            if time.monotonic() >= deadline:
                raise NotSettled(
                    f"Something became of {found.settled:,} of {asked.rows:,} rows within {timeout_s:g} s; the rest goes on. "
                    f"See whether ingest and the loader run: headrace status {dataset}"
                )
            time.sleep(poll_s)
        return found

    def drift(self, dataset: str) -> Drift:
        """How the source of a dataset drifts from what it was."""
        return self._calls.read(Drift, self._calls.send("GET", _dataset(dataset, "drift")))

    def decide_drift(self, dataset: str, column: str, **choice: Any) -> DriftDecided:
        """Decide about a column that drifts. `choice`: the body of the route, see `/docs` of the gateway."""
        path = _dataset(dataset, "drift", column)
        body = {name: value for name, value in choice.items() if value is not None}
        return self._calls.read(DriftDecided, self._calls.send("POST", path, safe=False, json=body, timeout=_ASKING_S))

    def runs(self, dataset: str) -> list[Run]:
        """The full loads of a dataset, the newest first."""
        return self._calls.items(Run, self._calls.send("GET", _dataset(dataset, "runs")))

    def run_story(self, dataset: str, run: int = 0, after: int | None = None) -> RunStory:
        """What happened to a run (0: the newest), or since the `after` of an earlier answer."""
        params = {} if after is None else {"after": str(after)}
        return self._calls.read(
            RunStory, self._calls.send("GET", _dataset(dataset, "runs", str(run), "log"), params=params)
        )

    def start_run(self, dataset: str) -> Asked:
        """Have the whole source read once more."""
        return self._calls.read(Asked, self._calls.send("POST", _dataset(dataset, "runs"), safe=False))

    def rollback_run(self, dataset: str) -> Asked:
        """Have the run shown that showed before."""
        return self._calls.read(Asked, self._calls.send("POST", _dataset(dataset, "runs", "rollback"), safe=False))

    def generations(self, dataset: str) -> list[Generation]:
        """The generations of a dataset, the newest first, and how far each has got."""
        return self._calls.items(Generation, self._calls.send("GET", _dataset(dataset, "generations")))

    def replay(
        self,
        dataset: str,
        document: str,
        because: str,
        *,
        skip_tests: str | None = None,
        ingested_from: datetime | None = None,
        ingested_to: datetime | None = None,
    ) -> Generation:
        """Have a dataset file make a generation beside the live one, from the first record on.

        With a range (half-open, aware of its time zone) it holds only rows that were ingested in it, and cannot be promoted.

        The gateway refuses it when one of its tests fails, unless `skip_tests` says why they are not to be run.
        """
        body = {"document": document, "because": because, "skip_tests": skip_tests}
        ends = {"ingested_from": ingested_from, "ingested_to": ingested_to}
        body |= {name: at.isoformat() for name, at in ends.items() if at is not None}
        return self._generation(dataset, body, timeout=httpx.Timeout(_APPLY_S, connect=5))

    def promote(self, dataset: str, generation: int, because: str, *, force: bool = False) -> Generation:
        """Have readers see this generation; `force`: also when it has not caught up. Of the live one it changes nothing."""
        return self._generation(dataset, {"because": because, "force": force}, str(generation), "promote")

    def rollback(self, dataset: str, leaving: int, because: str) -> Generation:
        """Have readers see the generation that was live before `leaving`, which is live now."""
        return self._generation(dataset, {"because": because, "leaving": leaving}, "rollback")

    def retire(self, dataset: str, generation: int, because: str) -> Generation:
        """Give a generation up for ever: its topics and its table are dropped."""
        return self._generation(dataset, {"because": because}, str(generation), "retire")

    def _generation(self, dataset: str, body: Mapping[str, object], *path: str, timeout: Any = _ASKING_S) -> Generation:
        where = _dataset(dataset, "generations", *path)
        return self._calls.read(Generation, self._calls.send("POST", where, safe=False, json=body, timeout=timeout))

    def pause_source(self, dataset: str, because: str) -> Wish:
        """Read nothing of a source, and take no pushes, until it is resumed."""
        path = _dataset(dataset, "source", "pause")
        return self._calls.read(Wish, self._calls.send("POST", path, safe=False, json={"because": because}))

    def resume_source(self, dataset: str) -> Wish:
        """Let a paused source go on."""
        return self._calls.read(Wish, self._calls.send("POST", _dataset(dataset, "source", "resume"), safe=False))

    def run_source(self, dataset: str) -> Wish:
        """Have a source read now, out of turn."""
        return self._calls.read(Wish, self._calls.send("POST", _dataset(dataset, "source", "run"), safe=False))

    def release_source(self, dataset: str, because: str, *, abandon: bool = False) -> list[SourceHolding]:
        """Give a source up for good; returns what it keeps outside of Headrace, which ingest takes away."""
        body = {"because": because, "abandon": abandon}
        return self._calls.items(
            SourceHolding, self._calls.send("POST", _dataset(dataset, "source", "release"), safe=False, json=body)
        )

    def source_holdings(self, dataset: str = "") -> list[SourceHolding]:
        """What sources, or that of one dataset, keep outside of Headrace."""
        return self._calls.items(
            SourceHolding, self._calls.send("GET", "/source-holdings", params={"dataset": dataset})
        )

    def held_rows(self, dataset: str | None = None) -> list[HeldRow]:
        """The rows that wait for a decision."""
        params = {"dataset": dataset} if dataset else {}
        return self._calls.items(HeldRow, self._calls.send("GET", "/held-rows", params=params))

    def release_hold(
        self, dataset: str, raw: Sequence[str], act: str, because: str, *, rows: int = 1, all_like_this: bool = False
    ) -> list[Override]:
        """Decide about rows that are held, `pass` or `quarantine`, and about others that the same check holds.

        `raw` names them by their raw records, PARTITION:OFFSET.
        """
        body = {"raw": list(raw), "act": act, "because": because, "rows": rows, "all_like_this": all_like_this}
        return self._override(dataset, "hold", "release", body=body)

    def skip(self, dataset: str, partition: int, from_offset: int, to_offset: int, because: str) -> list[Override]:
        """Leave raw rows out, from the first offset to the last."""
        stretch = {"partition": partition, "from_offset": from_offset, "to_offset": to_offset}
        return self._override(dataset, "skip", body={**stretch, "because": because})

    def pin(self, dataset: str, because: str) -> list[Override]:
        """Let no new version of a dataset go live."""
        return self._override(dataset, "pin", body={"because": because})

    def unpin(self, dataset: str, because: str) -> list[Override]:
        """Let new versions of a dataset go live again."""
        return self._override(dataset, "unpin", body={"because": because})

    def overrides(self, dataset: str) -> list[Override]:
        """What was decided by hand about a dataset and stands."""
        return self._calls.items(Override, self._calls.send("GET", _dataset(dataset, "overrides")))

    def _override(self, dataset: str, *path: str, body: Mapping[str, Any]) -> list[Override]:
        return self._calls.items(
            Override, self._calls.send("POST", _dataset(dataset, *path), safe=False, json=dict(body))
        )

    def backfill(self, dataset: str, since: datetime, until: datetime, *, allow_duplicates: bool = False) -> Asked:
        """Have the rows of a stretch of time read again; `since` and `until` have a zone."""
        body = {"from": since.isoformat(), "to": until.isoformat(), "allow_duplicates": allow_duplicates}
        return self._calls.read(Asked, self._calls.send("POST", _dataset(dataset, "backfills"), safe=False, json=body))

    def cancel_run(self, dataset: str) -> Asked:
        """End the run that is under way, or the backfill that is asked for."""
        return self._calls.read(Asked, self._calls.send("POST", _dataset(dataset, "runs", "cancel"), safe=False))

    def query(self, sql: str, limit: int = 1000) -> QueryResult:
        """Run a read-only query in the warehouse; at most `limit` rows come back."""
        return self._calls.read(QueryResult, self._calls.send("POST", "/query", json={"sql": sql, "limit": limit}))

    def tail(self, dataset: str, stage: str = "validated", limit: int = 10) -> list[TailRecord]:
        """The newest records of one of a dataset's topics, oldest first."""
        params = {"stage": stage, "limit": str(limit)}
        return self._calls.items(TailRecord, self._calls.send("GET", _dataset(dataset, "tail"), params=params))

    def secrets(self) -> Secrets:
        """Every secret, without its value."""
        return self._calls.read(Secrets, self._calls.send("GET", "/secrets"))

    def set_secret(self, name: str, value: SecretStr) -> Secret:
        """Give a secret its first value, or its next. Sources that name it begin anew with it."""
        body = {"value": value.get_secret_value()}
        return self._calls.read(Secret, self._calls.send("PUT", _secret(name), safe=False, json=body))

    def remove_secret(self, name: str, *, force: bool = False) -> None:
        """Take a secret away; refused (409) while a dataset names it, unless forced."""
        self._calls.send("DELETE", _secret(name), safe=False, params={"force": str(force).lower()})

    def rotate_secrets(self) -> RotatedSecrets:
        """Put every secret under the current master key. Doing it again changes nothing."""
        return self._calls.read(RotatedSecrets, self._calls.send("POST", "/secrets/rotate", safe=False))

    def wait_settled(
        self,
        dataset: str,
        timeout_s: float = 600,
        on_progress: Callable[[Ledger], None] | None = None,
        poll_s: float = 0.5,
    ) -> Ledger:
        """Wait until everything the source had has reached its fate, and return the books. See `wait_all_settled`."""
        return self.wait_all_settled([dataset], timeout_s, on_progress, poll_s)[dataset]

    def wait_all_settled(
        self,
        datasets: Iterable[str],
        timeout_s: float = 600,
        on_progress: Callable[[Ledger], None] | None = None,
        poll_s: float = 0.5,
    ) -> dict[str, Ledger]:
        """Wait until every one of these datasets has settled; a gateway that restarts meanwhile is waited for.

        Errors: Stopped when a service has given one of them up, NotSettled when the time is up, ApiError when the
        gateway refuses.
        """
        deadline = time.monotonic() + timeout_s
        moving = dict.fromkeys(datasets, "nothing was heard of it")
        settled: dict[str, Ledger] = {}
        while True:
            for dataset in tuple(moving):
                try:
                    ledger = self.ledger(dataset)
                except (ApiError, Unreachable) as error:
                    if isinstance(error, ApiError) and error.status not in UNAVAILABLE:
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
            time.sleep(poll_s)


def _dataset(*parts: str) -> str:
    """The path of something of a dataset, whatever characters a user typed."""
    return "/datasets/" + "/".join(quote(part, safe="") for part in parts)


def _secret(name: str) -> str:
    return f"/secrets/{quote(name, safe='')}"


def _why_moving(ledger: Ledger) -> str:
    more = len(ledger.waiting_for) - _REASONS_SHOWN
    return "; ".join(
        [
            f"{ledger.in_flight:,} of {ledger.read:,} rows read are in flight",
            *ledger.waiting_for[:_REASONS_SHOWN],
            *([f"and {more} more"] if more > 0 else []),
        ]
    )
