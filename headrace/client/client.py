"""Calls to a gateway: which of them are tried again, and how an answer becomes a value or an error."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from headrace.client.errors import ApiError, NotSettled, Stopped, Unreachable
from headrace.client.results import (
    Applied,
    Asked,
    Dataset,
    DatasetStatus,
    Drift,
    DriftDecided,
    Ledger,
    Plan,
    Quarantine,
    QuarantineAsked,
    QuarantinedRow,
    QuarantineOutcome,
    QueryResult,
    RotatedSecrets,
    Run,
    Secret,
    Secrets,
    SourceHolding,
    SourcePart,
    TailRecord,
    Version,
    Wish,
)
from headrace.errors import HeadraceError

DEFAULT_URL: Final = "http://127.0.0.1:8080"
_UNAVAILABLE: Final = frozenset({502, 503})  # a gateway that restarts, or a proxy before one
_REASONS_SHOWN: Final = 3
_ASKING_S: Final = 300.0  # many rows are asked for one by one
_APPLY_S: Final = 100.0  # longer than the gateway gives the tests of a dataset file
_SOURCE_S: Final = 130.0  # longer than the gateway waits for a source
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout)

ResultT = TypeVar("ResultT", bound=BaseModel)


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
        self._retries = retries
        self._backoff_s = backoff_s
        self._http = httpx.Client(
            base_url=_address(self.url),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 5)),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    def version(self) -> Version:
        """Which version the gateway runs."""
        return self._read(Version, self._call("GET", "/version"))

    def plan(self, document: str) -> Plan:
        """What applying this dataset file would change. Changes nothing."""
        return self._read(Plan, self._call("POST", "/plan", json={"document": document}))

    def apply(self, name: str, document: str, *, skip_tests: str | None = None) -> Applied:
        """Make this dataset file the live version. Applying the live version again changes nothing.

        The gateway refuses it when one of its tests fails, unless `skip_tests` says why they are not to be run, which goes
        on record.
        """
        body = {"document": document} | ({"skip_tests": skip_tests} if skip_tests is not None else {})
        timeout = httpx.Timeout(_APPLY_S, connect=5)
        return self._read(Applied, self._call("PUT", _dataset(name), safe=False, json=body, timeout=timeout))

    def inspect_source(self, document: str, *, discover: bool = False) -> Iterator[SourcePart]:
        """Try the source of a dataset file step by step; with `discover`, also describe what it offers. Saves nothing."""
        act = "discover" if discover else "check"
        timeout = httpx.Timeout(_SOURCE_S, connect=5)
        with self._http.stream("POST", f"/sources/{act}", json={"document": document}, timeout=timeout) as response:
            if not response.is_success:
                response.read()
            _checked(response)
            for line in response.iter_lines():
                yield self._valid(SourcePart, json.loads(line))

    def datasets(self) -> list[Dataset]:
        """Every dataset, by name."""
        return self._items(Dataset, self._call("GET", "/datasets"))

    def dataset(self, name: str) -> Dataset:
        """One dataset with its file."""
        return self._read(Dataset, self._call("GET", _dataset(name)))

    def status(self, dataset: str | None = None) -> list[DatasetStatus]:
        """What every stage of every dataset, or of one, is doing."""
        params = {"dataset": dataset} if dataset else {}
        return self._items(DatasetStatus, self._call("GET", "/status", params=params))

    def ledger(self, dataset: str) -> Ledger:
        """Where every row of a dataset went."""
        return self._read(Ledger, self._call("GET", _dataset(dataset, "ledger")))

    def quarantine(
        self, dataset: str, reason: str | None = None, limit: int = 100, *, everything: bool = False
    ) -> Quarantine:
        """The rows that are set aside, clustered by cause; `limit` of them in full.

        `everything` are also those that were resubmitted or discarded since.
        """
        params = {"limit": str(limit)} | ({"reason": reason} if reason else {})
        params |= {"all": "true"} if everything else {}
        return self._read(Quarantine, self._call("GET", _dataset(dataset, "quarantine"), params=params))

    def quarantined(self, dataset: str, row_id: str) -> QuarantinedRow:
        """One row that was set aside."""
        return self._read(QuarantinedRow, self._call("GET", _dataset(dataset, "quarantine", row_id)))

    def ask_quarantine(self, dataset: str, act: Literal["resubmit", "discard"], **asked: Any) -> QuarantineAsked:
        """Have quarantined rows read anew, or given up. `asked`: the body of the route, see `/docs` of the gateway."""
        path = _dataset(dataset, "quarantine", act)
        body = {name: value for name, value in asked.items() if value is not None}
        return self._read(QuarantineAsked, self._call("POST", path, safe=False, json=body, timeout=_ASKING_S))

    def quarantine_outcome(self, dataset: str, request: str) -> QuarantineOutcome:
        """What became of a request so far."""
        return self._read(QuarantineOutcome, self._call("GET", _dataset(dataset, "quarantine", "requests", request)))

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
        return self._read(Drift, self._call("GET", _dataset(dataset, "drift")))

    def decide_drift(self, dataset: str, column: str, **choice: Any) -> DriftDecided:
        """Decide about a column that drifts. `choice`: the body of the route, see `/docs` of the gateway."""
        path = _dataset(dataset, "drift", column)
        body = {name: value for name, value in choice.items() if value is not None}
        return self._read(DriftDecided, self._call("POST", path, safe=False, json=body, timeout=_ASKING_S))

    def runs(self, dataset: str) -> list[Run]:
        """The full loads of a dataset, the newest first."""
        return self._items(Run, self._call("GET", _dataset(dataset, "runs")))

    def start_run(self, dataset: str) -> Asked:
        """Have the whole source read once more."""
        return self._read(Asked, self._call("POST", _dataset(dataset, "runs"), safe=False))

    def rollback_run(self, dataset: str) -> Asked:
        """Have the run shown that showed before."""
        return self._read(Asked, self._call("POST", _dataset(dataset, "runs", "rollback"), safe=False))

    def pause_source(self, dataset: str, because: str) -> Wish:
        """Read nothing of a source, and take no pushes, until it is resumed."""
        path = _dataset(dataset, "source", "pause")
        return self._read(Wish, self._call("POST", path, safe=False, json={"because": because}))

    def resume_source(self, dataset: str) -> Wish:
        """Let a paused source go on."""
        return self._read(Wish, self._call("POST", _dataset(dataset, "source", "resume"), safe=False))

    def run_source(self, dataset: str) -> Wish:
        """Have a source read now, out of turn."""
        return self._read(Wish, self._call("POST", _dataset(dataset, "source", "run"), safe=False))

    def release_source(self, dataset: str, because: str, *, abandon: bool = False) -> list[SourceHolding]:
        """Give a source up for good; returns what it keeps outside of Headrace, which ingest takes away."""
        body = {"because": because, "abandon": abandon}
        return self._items(
            SourceHolding, self._call("POST", _dataset(dataset, "source", "release"), safe=False, json=body)
        )

    def source_holdings(self, dataset: str = "") -> list[SourceHolding]:
        """What sources, or that of one dataset, keep outside of Headrace."""
        return self._items(SourceHolding, self._call("GET", "/source-holdings", params={"dataset": dataset}))

    def backfill(self, dataset: str, since: datetime, until: datetime, *, allow_duplicates: bool = False) -> Asked:
        """Have the rows of a stretch of time read again; `since` and `until` have a zone."""
        body = {"from": since.isoformat(), "to": until.isoformat(), "allow_duplicates": allow_duplicates}
        return self._read(Asked, self._call("POST", _dataset(dataset, "backfills"), safe=False, json=body))

    def cancel_backfill(self, dataset: str) -> Asked:
        """End the backfill that is under way."""
        return self._read(Asked, self._call("POST", _dataset(dataset, "runs", "cancel"), safe=False))

    def query(self, sql: str, limit: int = 1000) -> QueryResult:
        """Run a read-only query in the warehouse; at most `limit` rows come back."""
        return self._read(QueryResult, self._call("POST", "/query", json={"sql": sql, "limit": limit}))

    def tail(self, dataset: str, stage: str = "validated", limit: int = 10) -> list[TailRecord]:
        """The newest records of one of a dataset's topics, oldest first."""
        params = {"stage": stage, "limit": str(limit)}
        return self._items(TailRecord, self._call("GET", _dataset(dataset, "tail"), params=params))

    def secrets(self) -> Secrets:
        """Every secret, without its value."""
        return self._read(Secrets, self._call("GET", "/secrets"))

    def set_secret(self, name: str, value: SecretStr) -> Secret:
        """Give a secret its first value, or its next. Sources that name it begin anew with it."""
        body = {"value": value.get_secret_value()}
        return self._read(Secret, self._call("PUT", _secret(name), safe=False, json=body))

    def remove_secret(self, name: str, *, force: bool = False) -> None:
        """Take a secret away; refused (409) while a dataset names it, unless forced."""
        self._call("DELETE", _secret(name), safe=False, params={"force": str(force).lower()})

    def rotate_secrets(self) -> RotatedSecrets:
        """Put every secret under the current master key. Doing it again changes nothing."""
        return self._read(RotatedSecrets, self._call("POST", "/secrets/rotate", safe=False))

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
                    if isinstance(error, ApiError) and error.status not in _UNAVAILABLE:
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

    def _call(self, method: str, path: str, *, safe: bool = True, **options: Any) -> httpx.Response:
        """Send, and send again what failed in a way that passes.

        A call that changes something is sent again only when it never left: a second answer could hide what the
        first attempt did.
        """
        attempt = 0
        while True:
            last_try = attempt >= self._retries
            try:
                response = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                again = isinstance(error, _NEVER_SENT) or (safe and not isinstance(error, httpx.TimeoutException))
                if last_try or not again:
                    raise self._unreachable(method, path, error) from error
            else:
                if last_try or not (safe and response.status_code in _UNAVAILABLE):
                    return _checked(response)
            time.sleep(self._backoff_s * 2**attempt)
            attempt += 1

    def _unreachable(self, method: str, path: str, error: httpx.TransportError) -> Unreachable:
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            return Unreachable(f"The gateway at {self.url} did not answer {method} {path} in time.")
        return Unreachable(f"No gateway answers at {self.url} ({error}).")

    def _read(self, kind: type[ResultT], response: httpx.Response) -> ResultT:
        return self._valid(kind, self._json(response))

    def _items(self, kind: type[ResultT], response: httpx.Response) -> list[ResultT]:
        body = self._json(response)
        items = body.get("items") if isinstance(body, dict) else None
        if not isinstance(items, list):
            raise self._not_ours(response)
        return [self._valid(kind, item) for item in items]

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise self._not_ours(response) from error

    def _valid(self, kind: type[ResultT], body: Any) -> ResultT:
        try:
            return kind.model_validate(body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise HeadraceError(
                f"The gateway at {self.url} sent a {kind.__name__} this client cannot read ({where}: {first['msg']}). "
                "Compare versions with: headrace version"
            ) from error

    def _not_ours(self, response: httpx.Response) -> HeadraceError:
        return HeadraceError(f"{response.url} did not answer like a Headrace gateway. Check the address.")


def _address(url: str) -> httpx.URL:
    """Where the API of the gateway at `url` lives. Errors: HeadraceError when it is no address."""
    try:
        address = httpx.URL(f"{url}/api/v1")
    except httpx.InvalidURL as error:
        raise HeadraceError(f"{url!r} is not an address: {error}.") from error
    if address.scheme not in ("http", "https") or not address.host:
        raise HeadraceError(f"{url!r} is not an address of a gateway: it must look like {DEFAULT_URL}.")
    return address


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


def _checked(response: httpx.Response) -> httpx.Response:
    """The response, when it is a success. Errors: ApiError."""
    if response.is_success:
        return response
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    problems = body.get("problems")
    raise ApiError(
        status=response.status_code,
        title=str(body.get("title") or response.reason_phrase or f"HTTP {response.status_code}"),
        detail=str(body.get("detail") or ""),
        problems=[p for p in problems if isinstance(p, dict)] if isinstance(problems, list) else (),
        where=f"{response.request.method} {response.request.url.path}",
    )
