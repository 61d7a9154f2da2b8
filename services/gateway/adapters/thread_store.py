"""Keeps what people talk about beside a dataset: threads of remarks. A text is kept, and given back, as it was written."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update

from services.gateway.adapters.catalog_tables import REMARKS, THREADS


@dataclass(frozen=True, slots=True)
class Remark:
    """What somebody said; of one that was taken back no text is kept."""

    id: str
    thread: str
    number: int
    text: str
    author: str
    author_name: str
    at: datetime
    edited_at: datetime | None
    deleted: bool


@dataclass(frozen=True, slots=True)
class Thread:
    """What was said of one matter, the first remark first. `column` is empty where it is about the whole dataset."""

    id: str
    dataset: str
    column: str
    opened_at: datetime
    resolved_at: datetime | None
    resolved_by: str
    remarks: tuple[Remark, ...] = ()


class ThreadStore:
    """The threads of all datasets."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, dataset: str, most: int) -> list[Thread]:
        """The threads of a dataset: those that are open first, of each the newest first."""
        wanted = select(THREADS).where(THREADS.c.dataset == dataset)
        ordered = wanted.order_by(THREADS.c.resolved_at.is_not(None), THREADS.c.opened_at.desc(), THREADS.c.id).limit(
            most
        )
        with self._engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(ordered).mappings()]
            remarks = _remarks(connection, [row["id"] for row in rows])
        return [Thread(**row, remarks=tuple(remarks.get(row["id"], ()))) for row in rows]

    def get(self, dataset: str, thread: str) -> Thread | None:
        """One thread of a dataset."""
        wanted = select(THREADS).where(THREADS.c.id == thread, THREADS.c.dataset == dataset)
        with self._engine.connect() as connection:
            row = connection.execute(wanted).mappings().one_or_none()
            return None if row is None else Thread(**row, remarks=tuple(_remarks(connection, [thread]).get(thread, ())))

    def begin(self, dataset: str, column: str, text: str, author: str, author_name: str, at: datetime) -> str:
        """A new thread with its first remark. Returns its id."""
        thread = uuid.uuid4().hex
        row = {
            "id": thread,
            "dataset": dataset,
            "column": column,
            "opened_at": at,
            "resolved_at": None,
            "resolved_by": "",
        }
        with self._engine.begin() as connection:
            connection.execute(insert(THREADS).values(row))
            _add(connection, thread, text, author, author_name, at)
        return thread

    def reply(self, thread: str, text: str, author: str, author_name: str, at: datetime) -> None:
        """Add a remark, which opens the thread again if it was resolved."""
        with self._engine.begin() as connection:
            _settle(connection, thread, None, "")  # first: of two who reply at once, one waits here for the other
            _add(connection, thread, text, author, author_name, at)

    def settle(self, thread: str, at: datetime | None, by: str) -> None:
        """Say that a thread is resolved; without `at`, that it is not."""
        with self._engine.begin() as connection:
            _settle(connection, thread, at, by)

    def edit(self, remark: str, author: str, text: str | None, at: datetime) -> bool:
        """Change what somebody said, or take it back (None). Returns whether it is theirs, and stands."""
        mine = (REMARKS.c.id == remark) & (REMARKS.c.author == author) & REMARKS.c.deleted.is_(False)
        changed: dict[str, Any] = {"text": text or "", "edited_at": at, "deleted": text is None}
        with self._engine.begin() as connection:
            return connection.execute(update(REMARKS).where(mine).values(changed)).rowcount > 0


def _settle(connection: Connection, thread: str, at: datetime | None, by: str) -> None:
    connection.execute(update(THREADS).where(THREADS.c.id == thread).values(resolved_at=at, resolved_by=by))


def _add(connection: Connection, thread: str, text: str, author: str, author_name: str, at: datetime) -> None:
    last = select(func.max(REMARKS.c.number)).where(REMARKS.c.thread == thread)
    row = {
        "id": uuid.uuid4().hex,
        "thread": thread,
        "number": (connection.execute(last).scalar() or 0) + 1,
        "text": text,
        "author": author,
        "author_name": author_name,
        "at": at,
        "edited_at": None,
        "deleted": False,
    }
    connection.execute(insert(REMARKS).values(row))


def _remarks(connection: Connection, threads: list[str]) -> dict[str, list[Remark]]:
    found: dict[str, list[Remark]] = {}
    wanted = select(REMARKS).where(REMARKS.c.thread.in_(threads)).order_by(REMARKS.c.thread, REMARKS.c.number)
    for row in connection.execute(wanted).mappings():
        found.setdefault(row["thread"], []).append(Remark(**row))
    return found
