"""Keeps exports and who works at them: any replica takes one that nobody holds, and holds it while it says so in time."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, Update, and_, delete, insert, or_, select, update

from services.gateway.adapters.export_tables import EXPORTS
from services.gateway.core.export_jobs import LEASE, REMEMBERED, Job, State

_T: Final = EXPORTS.c
_FIELDS: Final = [field.name for field in fields(Job)]
_COLUMNS: Final = [_T[name] for name in _FIELDS]


class ExportStore:
    """The table of exports. `holder` names a worker; whoever does not hold an export cannot change what becomes of it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, job: Job) -> None:
        """A new export, to be worked at."""
        with self._engine.begin() as connection:
            connection.execute(insert(EXPORTS).values(row_of(job)))

    def get(self, id: str) -> Job | None:
        """One export."""
        found = self._jobs(select(*_COLUMNS).where(_T.id == id))
        return found[0] if found else None

    def of_owner(self, owner: str | None, limit: int, state: State | None = None) -> list[Job]:
        """Those of somebody, or of everybody, newest first."""
        wanted = select(*_COLUMNS).order_by(_T.created_at.desc(), _T.id).limit(limit)
        if owner is not None:
            wanted = wanted.where(_T.owner == owner)
        return self._jobs(wanted if state is None else wanted.where(_T.state == state))

    def take(self, holder: str, now: datetime) -> Job | None:
        """An export that waits, or whose worker has not been heard of in time, for this holder alone; the oldest first."""
        free = or_(_T.state == "queued", and_(_T.state == "running", _T.lease_until < now))
        with self._engine.connect() as connection:
            waiting = [
                row.id for row in connection.execute(select(_T.id).where(free).order_by(_T.created_at).limit(20))
            ]
        for id in waiting:
            taken = {"state": "running", "holder": holder, "lease_until": now + LEASE, "attempts": _T.attempts + 1}
            begun: dict[str, Any] = {"started_at": now, "rows": 0, "size_bytes": 0, "estimated_rows": None}
            if self._did(update(EXPORTS).where(_T.id == id, free).values(taken | begun)):
                return self.get(id)
        return None

    def go_on(self, id: str, holder: str, now: datetime, **known: Any) -> bool:
        """Hold an export a while longer, and say how far it is; False when it is not this holder's any more."""
        return self._did(_held(id, holder).values(lease_until=now + LEASE, **known))

    def end(self, id: str, holder: str, state: State, now: datetime, **known: Any) -> bool:
        """Say what came of it; False when it is not this holder's any more."""
        return self._did(_held(id, holder).values(state=state, ended_at=now, holder=None, lease_until=None, **known))

    def give_back(self, id: str, holder: str) -> None:
        """Let another work at it, as if nobody had."""
        self._did(_held(id, holder).values(state="queued", holder=None, lease_until=None, attempts=_T.attempts - 1))

    def cancel(self, id: str, now: datetime) -> bool:
        """End an export that has not ended; its worker finds that it holds it no more. False when it has."""
        open_ = update(EXPORTS).where(_T.id == id, _T.state.in_(["queued", "running"]))
        return self._did(open_.values(state="cancelled", ended_at=now, holder=None, lease_until=None))

    def expire(self, id: str) -> None:
        """Remember that the file of an export is gone."""
        self._did(update(EXPORTS).where(_T.id == id, _T.state == "done").values(state="expired"))

    def due_to_expire(self, now: datetime) -> list[Job]:
        """Those whose files are to be deleted."""
        return self._jobs(select(*_COLUMNS).where(_T.state == "done", _T.expires_at < now))

    def due_to_forget(self, now: datetime) -> list[Job]:
        """Those that ended long ago, and have no file any more."""
        return self._jobs(select(*_COLUMNS).where(_T.state != "done", _T.ended_at < now - REMEMBERED))

    def remove(self, id: str) -> None:
        """Forget an export that has ended."""
        with self._engine.begin() as connection:
            connection.execute(delete(EXPORTS).where(_T.id == id, _T.state.not_in(["queued", "running"])))

    def _jobs(self, wanted: Any) -> list[Job]:
        with self._engine.connect() as connection:
            rows: Sequence[Any] = connection.execute(wanted).mappings().all()
        return [Job(**{**row, "columns": tuple(row["columns"])}) for row in rows]

    def _did(self, change: Update) -> bool:
        with self._engine.begin() as connection:
            return connection.execute(change).rowcount == 1


def row_of(job: Job) -> dict[str, Any]:
    """An export as the table has it."""
    return asdict(job) | {"columns": list(job.columns)}


def _held(id: str, holder: str) -> Update:
    return update(EXPORTS).where(_T.id == id, _T.holder == holder, _T.state == "running")
