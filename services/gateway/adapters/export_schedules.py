"""Keeps the schedules of exports, and makes the export that is due: whoever moves the time on makes it, one replica alone."""

import secrets
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, delete, insert, select, update

from headrace.contract.schedule import Schedule
from services.gateway.adapters.export_store import row_of
from services.gateway.adapters.export_tables import EXPORT_SCHEDULES, EXPORTS
from services.gateway.core.export_jobs import Destination, Job
from services.gateway.core.exports import Format

_T: Final = EXPORT_SCHEDULES.c


@dataclass(frozen=True, slots=True)
class ExportSchedule:
    """When a dataset is exported, and how. `token`: what it was set up with narrows each export."""

    id: str
    owner: str
    owner_name: str
    token: str | None
    dataset: str
    format: Format
    columns: tuple[str, ...]
    condition: str
    destination: Destination
    created_at: datetime
    cron: str
    timezone: str
    paused: bool
    next_at: datetime
    last_export: str | None = None

    def after(self, moment: datetime) -> datetime:
        """The next time after `moment`, in UTC."""
        return Schedule(cron=self.cron, timezone=self.timezone).after(moment)

    def export(self, now: datetime) -> Job:
        """The export that it makes now."""
        told = {field.name: getattr(self, field.name) for field in fields(self) if field.name in _SHARED}
        return Job(**told, id=new_id(), created_at=now, schedule=self.id)


_SHARED: Final = frozenset({"owner", "owner_name", "token", "dataset", "format", "columns", "condition", "destination"})


class ExportSchedules:
    """The table of schedules."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, schedule: ExportSchedule) -> None:
        """A new schedule."""
        row = asdict(schedule) | {"columns": list(schedule.columns)}
        with self._engine.begin() as connection:
            connection.execute(insert(EXPORT_SCHEDULES).values(row))

    def get(self, id: str) -> ExportSchedule | None:
        """One schedule."""
        found = self._found(select(EXPORT_SCHEDULES).where(_T.id == id))
        return found[0] if found else None

    def of_owner(self, owner: str | None) -> list[ExportSchedule]:
        """Those of somebody, or of everybody, the next to be due first."""
        wanted = select(EXPORT_SCHEDULES).order_by(_T.next_at, _T.id)
        return self._found(wanted if owner is None else wanted.where(_T.owner == owner))

    def pause(self, id: str, *, paused: bool, next_at: datetime) -> None:
        """Let it rest, or go on with the time that comes next."""
        with self._engine.begin() as connection:
            connection.execute(update(EXPORT_SCHEDULES).where(_T.id == id).values(paused=paused, next_at=next_at))

    def remove(self, id: str) -> None:
        """Take it away; its exports stay."""
        with self._engine.begin() as connection:
            connection.execute(delete(EXPORT_SCHEDULES).where(_T.id == id))

    def make_due(self, now: datetime) -> None:
        """Make the exports that are due. Of several times that passed, one export makes up for all."""
        for schedule in self._found(select(EXPORT_SCHEDULES).where(_T.next_at <= now, _T.paused.is_(False))):
            job = schedule.export(now)
            moved = {"next_at": schedule.after(now), "last_export": job.id}
            mine = (_T.id == schedule.id, _T.next_at == schedule.next_at, _T.paused.is_(False))
            with self._engine.begin() as connection:
                if connection.execute(update(EXPORT_SCHEDULES).where(*mine).values(moved)).rowcount == 1:
                    connection.execute(insert(EXPORTS).values(row_of(job)))

    def _found(self, wanted: Any) -> list[ExportSchedule]:
        with self._engine.connect() as connection:
            rows = connection.execute(wanted).mappings().all()
        return [ExportSchedule(**{**row, "columns": tuple(row["columns"])}) for row in rows]


def new_id() -> str:
    """The id of an export or a schedule."""
    return secrets.token_hex(8)
