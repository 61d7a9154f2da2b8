"""Reads the audit log: acts by page, single acts, and every entry in the order of its chain."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, FromClause, Select, and_, case, func, or_, select, tuple_

from headrace.audit import FIELDS, Entry, entry_of
from services.gateway.adapters.audit_tables import AUDIT
from services.gateway.core.audit_acts import UNKNOWN, AuditedAct, Place, Wanted

_AT_ONCE: Final = 1000
_SEARCHED: Final = ("actor", "action", "address", "user_agent", "request_id", "credential", "details")


class AuditStore:
    """The audit log as it can be read. Nothing is written here."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(self, wanted: Wanted, before: Place | None, limit: int, but: str = "") -> list[AuditedAct]:
        """The newest acts first, from behind a place on; `but` one of them."""
        first, ended = AUDIT.alias("first"), AUDIT.alias("ended")
        asked = _acts(first, ended).where(first.c.id != but, *_of_entry(wanted, first, ended))
        if wanted.outcome is not None:
            asked = asked.where(_outcome(first, ended) == wanted.outcome)
        if before is not None:
            asked = asked.where(tuple_(first.c.at_us, first.c.writer, first.c.seq) < tuple_(*before))
        asked = asked.order_by(first.c.at_us.desc(), first.c.writer.desc(), first.c.seq.desc()).limit(limit)
        with self._engine.connect() as connection:
            return [_act(row) for row in connection.execute(asked)]

    def act(self, identity: str) -> AuditedAct | None:
        """One act."""
        first, ended = AUDIT.alias("first"), AUDIT.alias("ended")
        with self._engine.connect() as connection:
            row = connection.execute(_acts(first, ended).where(first.c.id == identity).limit(1)).one_or_none()
        return None if row is None else _act(row)

    def entries(self, wanted: Wanted = Wanted()) -> Iterator[Entry]:  # noqa: B008 - it is frozen
        """Every entry, chain by chain, in its order; read as they are taken, all as of one moment."""
        asked = select(AUDIT).where(*_of_entry(wanted, AUDIT, None)).order_by(AUDIT.c.writer, AUDIT.c.seq)
        with self._engine.connect().execution_options(yield_per=_AT_ONCE) as connection:
            for row in connection.execute(asked).mappings():
                yield entry_of(dict(row))


def _acts(first: FromClause, ended: FromClause) -> Select[Any]:
    of_one = and_(ended.c.id == first.c.id, ended.c.writer == first.c.writer, ended.c.phase == "ended")
    return select(first, ended).outerjoin(ended, of_one).where(first.c.phase != "ended")


def _act(row: Any) -> AuditedAct:
    values, width = tuple(row), len(FIELDS)
    ended = values[width:]
    return AuditedAct(_entry(values[:width]), None if ended[0] is None else _entry(ended))


def _entry(values: tuple[Any, ...]) -> Entry:
    return entry_of(dict(zip(AUDIT.c.keys(), values, strict=True)))


def _outcome(first: FromClause, ended: FromClause) -> ColumnElement[str]:
    return func.coalesce(ended.c.outcome, case((first.c.phase == "begun", UNKNOWN), else_=first.c.outcome))


def _of_entry(wanted: Wanted, first: FromClause, ended: FromClause | None) -> Iterator[ColumnElement[bool]]:
    """What the first entry of an act has to be like; who, which datasets, and the text, may also be known in the end only."""
    sides = [first] if ended is None else [first, ended]
    if wanted.actor is not None:
        yield or_(*(side.c.actor == wanted.actor for side in sides))
    if wanted.action is not None:
        yield first.c.action.icontains(wanted.action, autoescape=True)
    if wanted.dataset is not None:
        yield or_(*(side.c.datasets.contains(f'"{wanted.dataset}"', autoescape=True) for side in sides))
    if wanted.text is not None:
        columns = (side.c[name] for side in sides for name in _SEARCHED)
        yield or_(*(column.icontains(wanted.text, autoescape=True) for column in columns))
    if wanted.since_us is not None:
        yield first.c.at_us >= wanted.since_us
    if wanted.until_us is not None:
        yield first.c.at_us < wanted.until_us
