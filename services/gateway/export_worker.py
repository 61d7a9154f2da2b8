"""Works at exports in the background, one at a time in each replica; makes those that schedules ask for; tidies up."""

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from headrace.errors import HeadraceError, Transient
from headrace.sql_guard import RefusedQueryError
from services.gateway.adapters.dataset_store import DatasetStore
from services.gateway.adapters.export_owners import ExportOwners
from services.gateway.adapters.export_schedules import ExportSchedules
from services.gateway.adapters.export_source import ExportSource, Opened
from services.gateway.adapters.export_storage import ExportStorage
from services.gateway.adapters.export_store import ExportStore
from services.gateway.adapters.usage_store import Usage
from services.gateway.core.export_jobs import LEASE, MOST_ATTEMPTS, Job, manifest, seen_as
from services.gateway.core.exports import NoSuchColumnError

log = logging.getLogger(__name__)

_POLL_S: Final = 1.0
_TIDY_S: Final = 60.0
_TELL_S: Final = LEASE.total_seconds() / 10

Tell = Callable[[str, str, str, dict[str, Any]], None]


class _LostError(Exception):
    """The export was cancelled, or another replica works at it."""


class _StoppingError(Exception):
    """The gateway stops."""


class _RefusedError(Exception):
    """It cannot be made, whoever tries. The message says why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a file may become, and how long it is kept."""

    most_bytes: int
    kept: timedelta


@dataclass(frozen=True, slots=True)
class ExportParts:
    """What a worker works with. `tell` publishes an event: its type, the dataset, a message and data."""

    store: ExportStore
    schedules: ExportSchedules
    source: ExportSource
    datasets: DatasetStore
    owners: ExportOwners
    storages: dict[str, ExportStorage]
    limits: Limits
    tell: Tell
    usage: Usage


class ExportWorker:
    """A thread that takes exports from the database. A worker that dies holds its export until its lease ends; then another
    replica begins it anew, into a place of its own.
    """

    def __init__(self, parts: ExportParts) -> None:
        self._parts = parts
        self._holder = secrets.token_hex(8)
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        self._tidied_at = 0.0

    def start(self) -> None:
        """Begin to work."""
        self._thread = threading.Thread(target=self._work, name="exports", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop. An export that is worked at goes back, for another."""
        self._stopping.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(10)

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                now = datetime.now(UTC)
                self._parts.schedules.make_due(now)
                if time.monotonic() - self._tidied_at > _TIDY_S:
                    self.tidy(now)
                    self._tidied_at = time.monotonic()
                while not self._stopping.is_set() and self.work_once():
                    pass
            except (HeadraceError, SQLAlchemyError) as error:
                log.warning("exports wait: %s", error)
            except Exception:
                log.exception("exports wait")
            self._woken.wait(_POLL_S)
            self._woken.clear()

    def work_once(self) -> bool:
        """Take one export and work at it to its end. Returns whether there was one."""
        store = self._parts.store
        job = store.take(self._holder, datetime.now(UTC))
        if job is None:
            return False
        try:
            if job.attempts > MOST_ATTEMPTS:
                raise _RefusedError(f"it was begun {MOST_ATTEMPTS} times: {job.error or 'whoever worked at it died'}")
            self._make(job)
        except _LostError:
            self._remove(job)
        except _StoppingError:
            self._remove(job)
            store.give_back(job.id, self._holder)
        except Transient as error:  # it is taken up again when the lease is over, by whoever is there
            self._remove(job)
            store.go_on(job.id, self._holder, datetime.now(UTC), error=str(error))
        except (_RefusedError, HeadraceError, NoSuchColumnError, RefusedQueryError) as error:
            self._failed(job, str(error))
        except Exception:
            log.exception("export %s failed", job.id)
            self._failed(job, "the gateway failed; its log tells more")
        return True

    def tidy(self, now: datetime) -> None:
        """Delete files whose time is over, and forget what ended long ago. Errors: Transient."""
        for job in self._parts.store.due_to_expire(now):
            self.remove(job)
            self._parts.store.expire(job.id)
        for job in self._parts.store.due_to_forget(now):
            self.remove(job)
            self._parts.store.remove(job.id)

    def remove(self, job: Job) -> None:
        """Delete whatever any attempt at an export has left. Errors: Transient."""
        for attempt in range(1, job.attempts + 1):
            self._parts.storages[job.destination].remove(f"{job.id}-{attempt}")

    def _make(self, job: Job) -> None:
        parts = self._parts
        dataset = parts.datasets.get(job.dataset)
        if dataset is None:
            raise _RefusedError(f"there is no dataset {job.dataset} any more")
        sight = parts.owners.sight(job.owner, job.token, job.dataset, datetime.now(UTC))
        if sight is None:
            raise _RefusedError(
                f"{job.owner_name} may not export {job.dataset} any more, or the token used was revoked"
            )
        passed = _Passed()
        opened = parts.source.open(dataset, job.wanted, sight, passed.count)
        estimate = parts.source.count(opened.plan)
        self._hold(job, estimated_rows=estimate, sight=seen_as(sight))
        self._write(job, opened, passed)
        now = datetime.now(UTC)
        told = manifest(job, opened.plan, opened.completeness, passed.rows, passed.size_bytes, passed.digest, now)
        parts.storages[job.destination].describe(place(job), told)
        known: dict[str, Any] = {
            "error": "",
            "rows": passed.rows,
            "size_bytes": passed.size_bytes,
            "manifest": told,
            "expires_at": now + parts.limits.kept,
        }
        if not parts.store.end(job.id, self._holder, "done", now, **known):
            raise _LostError
        parts.usage.record([job.dataset], job.owner, job.owner_name, "exports", now)
        parts.tell("export_done", job.dataset, f"export {job.id} of {job.dataset} is ready", told_of(job))

    def _write(self, job: Job, opened: Opened, passed: "_Passed") -> None:
        writing = self._parts.storages[job.destination].write(place(job), job.file_name)
        most = self._parts.limits.most_bytes
        try:
            with self._holding(job, passed) as lost:
                for piece in passed.through(opened.pieces):
                    if passed.size_bytes > most:
                        told = f"it would be larger than {most >> 20:,} MB"
                        raise _RefusedError(f"{told}: export fewer columns, or rows under a condition")
                    if lost.is_set():
                        raise _LostError
                    if self._stopping.is_set():
                        raise _StoppingError
                    writing.write(piece)
        finally:
            opened.pieces.close()
            writing.close()

    @contextmanager
    def _holding(self, job: Job, passed: "_Passed") -> Iterator[threading.Event]:
        """Say every few seconds that the export is worked at, and how far it is, also while the warehouse sends nothing."""
        lost, over = threading.Event(), threading.Event()

        def hold() -> None:
            while not over.wait(_TELL_S):
                try:
                    self._hold(job, rows=passed.rows, size_bytes=passed.size_bytes)
                except _LostError:
                    lost.set()
                    return
                except SQLAlchemyError as error:
                    log.warning("export %s could not be held on to: %s", job.id, error)

        thread = threading.Thread(target=hold, name="export-lease", daemon=True)
        thread.start()
        try:
            yield lost
        finally:
            over.set()
            thread.join()

    def _hold(self, job: Job, **known: Any) -> None:
        if not self._parts.store.go_on(job.id, self._holder, datetime.now(UTC), **known):
            raise _LostError

    def _failed(self, job: Job, why: str) -> None:
        now = datetime.now(UTC)
        if self._parts.store.end(job.id, self._holder, "failed", now, error=why):
            self._parts.tell(
                "export_failed", job.dataset, f"export {job.id} of {job.dataset} failed: {why}", told_of(job)
            )
        self._remove(job)

    def _remove(self, job: Job) -> None:
        try:
            self._parts.storages[job.destination].remove(place(job))
        except Transient as error:
            log.warning("%s", error)


class _Passed:
    """Counts what passes."""

    def __init__(self) -> None:
        self.rows = 0
        self.size_bytes = 0
        self._sha256 = hashlib.sha256()

    def count(self, rows: int) -> None:
        self.rows += rows

    def through(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.size_bytes += len(piece)
            self._sha256.update(piece)
            yield piece

    @property
    def digest(self) -> str:
        return self._sha256.hexdigest()


def place(job: Job) -> str:
    """The folder of an export's files: one for each attempt, as who was taken for dead may still write."""
    return f"{job.id}-{job.attempts}"


def told_of(job: Job) -> dict[str, Any]:
    """What an event says of an export."""
    return {"export": job.id, "owner": job.owner, "schedule": job.schedule}
