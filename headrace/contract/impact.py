"""What a new version of a dataset file changes in the table: columns whose values may become others, rules that decide over rows.

A column counts as changed when another expression computes it, or one on the way to it. That the values differ is not said: two
ways to write one thing count as two. What they come to is found by a back-test.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from headrace.contract.dependencies import dependencies
from headrace.contract.functions import OWN
from headrace.contract.lineage import Reader, readers_of
from headrace.contract.model import Contract
from headrace.contract.origins import Condition, Reads, Relation, origins

Kind = Literal["added", "removed", "changed"]
#: What is said of a declared column beside what values it takes.
_SAYS_MORE: Final = {"description", "tags", "examples", "classification"}
_KEYED: Final = tuple(f"{name}(" for name, function in OWN.items() if function.keyed)


@dataclass(frozen=True, slots=True)
class Affected:
    """A column of the table, by its name, or a rule: a check by its name, a condition of the SQL as it is written."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Impact:
    """What a new version changes.

    `others` is what becomes of columns that come through `*` without being named. `readers` are the live datasets that read
    columns which change; `reached` are those that lean on the dataset at all, when what changes may be any row or column.
    """

    columns: tuple[Affected, ...] = ()
    others: Kind | None = None
    rules: tuple[Affected, ...] = ()
    readers: tuple[Reader, ...] = ()
    reached: tuple[str, ...] = ()


def impact(old: Contract | None, new: Contract, live: Mapping[str, Contract]) -> Impact:
    """What a new version of a dataset changes, there and in the datasets that read it. `live` are all that are, by name."""
    if old is None:
        return Impact()
    was, now = _Table(old), _Table(new)
    columns = tuple(_columns(was, now, old.transform.hash_key != new.transform.hash_key))
    others = _kind(was.others, now.others)
    rules = (*_compared(_conditions(old), _conditions(new)), *_compared(_checks(old), _checks(new)))
    named = [column.name for column in columns if column.kind != "added"]
    return Impact(
        columns,
        others,
        rules,
        readers_of(new.dataset, named, live) if named else (),
        tuple(_reached(new.dataset, live)) if rules or others in ("removed", "changed") else (),
    )


def _columns(was: "_Table", now: "_Table", another_key: bool) -> Iterator[Affected]:
    """The columns that are computed in another way, of another type, new or gone."""
    for name in dict.fromkeys([*now.names, *was.names]):
        before, after = was.column(name), now.column(name)
        kind = _kind(before, after) or ("changed" if another_key and _keyed(after) else None)
        if kind is not None:
            yield Affected(now.names.get(name) or was.names[name], kind)


def _kind(before: object, after: object) -> Kind | None:
    """What was done to something, where None is nothing."""
    if before == after:
        return None
    return "added" if before is None else "removed" if after is None else "changed"


class _Table:
    """The columns of a dataset's table, as far as its file tells."""

    def __init__(self, contract: Contract) -> None:
        self._result: Relation = origins(contract.transform.sql).result
        self._declared = {field.name.lower(): field for field in contract.schema_.fields}
        self._closed = bool(self._declared) and contract.schema_.evolution != "evolve"
        self._query = _query(contract)
        known = self._declared.keys() if self._closed else {*self._result.made, *self._result.hidden}
        spelled = {name: made.name for name, made in self._result.made.items()}
        spelled |= {name: field.name for name, field in self._declared.items()}
        #: Those that the file names, also to leave them out: by their names in lower case, as they are spelled
        self.names = {
            name: spelled.get(name, name) for name in [*self._declared, *sorted(known - self._declared.keys())]
        }
        passes = self._result.passes and not self._closed
        #: How those come that it does not name; None where there are none
        self.others = (self._result.of, self._result.picked, self._query) if passes else None

    def column(self, name: str) -> tuple[Reads, str | None, Any] | None:
        """How a column comes to be: what it is computed from and by, and its declared type; None where there is none."""
        declared = self._declared.get(name)
        reads = self._result.read(name)
        if reads is None or (self._closed and declared is None):
            return None
        return reads, self._query, declared and declared.model_dump(exclude=_SAYS_MORE)


def _keyed(column: tuple[Reads, str | None, Any] | None) -> bool:
    return column is not None and any(call in text.lower() for text in column[0].by for call in _KEYED)


def _conditions(contract: Contract) -> dict[str, list[Condition]]:
    """The conditions of the SQL that decide over rows, by how they are written: one may stand in several steps."""
    found: dict[str, list[Condition]] = {}
    for condition in origins(contract.transform.sql).conditions:
        found.setdefault(condition.text, []).append(condition)
    return found


def _checks(contract: Contract) -> dict[str, Any]:
    return {check.name or check.check: check.model_dump(exclude={"description"}) for check in contract.checks}


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Affected]:
    for name in dict.fromkeys([*after, *before]):
        if (kind := _kind(before.get(name), after.get(name))) is not None:
            yield Affected(name, kind)


def _query(contract: Contract) -> str | None:
    """The query that makes the rows of a model."""
    return getattr(contract.source, "sql", None) if contract.source.references else None


def _reached(dataset: str, live: Mapping[str, Contract]) -> list[str]:
    """The datasets that lean on one, directly or through others, nearest first."""
    found, waiting = {dataset: None}, [dataset]
    while waiting:
        name = waiting.pop(0)
        nearest = [each for each, contract in live.items() if each not in found and name in dependencies(contract)]
        found.update(dict.fromkeys(nearest))
        waiting += nearest
    return [name for name in found if name != dataset]
