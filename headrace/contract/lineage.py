"""What depends on a column: the published columns computed from it, the checks that read those, the datasets that look at them.

The answers follow values. Not followed are errors (a value that cannot be cast sets its row aside) and, from one dataset to the
next, rows that are missing because another dropped them. A name that the SQL gives to a column of its own beside a `*` is taken
not to be one of the source's as well.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import sqlglot

from headrace.contract.checks import Check, Expression, References, Unique
from headrace.contract.mentions import EVERY, mentions
from headrace.contract.model import Contract
from headrace.contract.origins import Reads, origins
from headrace.contract.rowwise import INPUT


@dataclass(frozen=True, slots=True)
class Outputs:
    """What becomes of a column of the source.

    `columns` of the published table are computed from it, `unsure` are those of which the SQL alone does not tell. `dropped_by`
    are the conditions that read it, or may, and can drop the row, worded as in the ledger: a join that finds no match as
    `ON ...` or `USING ...`, a list without items as `UNNEST(...)`. `matched_by` are those of LEFT JOINs, which can repeat a row.
    """

    columns: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    dropped_by: tuple[str, ...] = ()
    matched_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reader:
    """A dataset that reads columns of another.

    `reads` are the columns it reads of the dataset `via`, as its source, by `transform.sql` or by `checks` of kind references.
    What its own rows have of them is told as in `Outputs`.
    """

    dataset: str
    via: str
    reads: tuple[str, ...]
    outputs: Outputs
    checks: tuple[str, ...]


def outputs_of(contract: Contract, source_column: str) -> Outputs:
    """What becomes of a column that the source has."""
    return _outputs(contract, INPUT, (source_column,), ())


def checks_on(contract: Contract, columns: Iterable[str]) -> tuple[str, ...]:
    """The names of the checks that read any of these published columns, in the order of the file."""
    wanted = _lowered(columns)
    return tuple(check.name or check.check for check in contract.checks if _read_by(check) & {*wanted, EVERY})


def settings_on(contract: Contract, columns: Iterable[str]) -> tuple[str, ...]:
    """The settings that name any of these published columns, as paths in the file: `key`, `load.order_by`, `sla[0].element`."""
    wanted = _lowered(columns)
    return tuple(path for path, named in _naming(contract) if _lowered(named) & wanted)


def readers_of(dataset: str, columns: Iterable[str], contracts: Mapping[str, Contract]) -> tuple[Reader, ...]:
    """The datasets that read any of these published columns, directly or through columns computed from them.

    `contracts` are all that are live, by name. A dataset is told once for each that it reads from, nearest first; through columns
    that are unsure everything is unsure.
    """
    sure = {dataset: dict.fromkeys(columns)}
    unsure: dict[str, dict[str, None]] = {}
    found: dict[tuple[str, str], Reader] = {}
    waiting = [dataset]
    while waiting:  # until nothing new is computed from what is known: a dataset may be reached twice
        via = waiting.pop(0)
        for contract in contracts.values():
            reader = _reader(contract, via, tuple(sure.get(via, ())), tuple(unsure.get(via, ())))
            if reader is None:
                continue
            found[contract.dataset, via] = reader
            own = sure.setdefault(contract.dataset, {})
            may = unsure.setdefault(contract.dataset, {})
            known = len(own), len(may)
            own.update(dict.fromkeys(reader.outputs.columns))
            may.update(dict.fromkeys(reader.outputs.unsure))
            if (len(own), len(may)) != known and contract.dataset not in waiting:
                waiting.append(contract.dataset)
    return tuple(found.values())


def _reader(contract: Contract, via: str, sure: tuple[str, ...], unsure: tuple[str, ...]) -> Reader | None:
    referring = {
        check.name or check.check: check.to.lower()
        for check in contract.checks
        if isinstance(check, References) and check.dataset == via
    }
    wanted = tuple(dict.fromkeys((*sure, *unsure)))
    passed = contract.source.passes_on and via in contract.source.references
    sides = (via, INPUT) if passed else (via,)
    by_source = [] if passed else [name for name in wanted if contract.source.reads(via, name)]
    read = tuple(
        name
        for name in wanted
        if name.lower() in referring.values()
        or name in by_source
        or any(_is_read(contract, side, name) for side in sides)
    )
    if not read:
        return None
    checks = tuple(name for name, column in referring.items() if column in _lowered(wanted))
    outputs = reduce(_both, (_outputs(contract, side, sure, unsure) for side in sides))
    if by_source:
        made = _outputs(contract, INPUT, (), tuple(contract.source.gives)).unsure
        outputs = replace(outputs, unsure=_each_once(outputs.unsure, made))
    return Reader(contract.dataset, via, read, outputs, checks)


def _both(one: Outputs, other: Outputs) -> Outputs:
    """What becomes of a column that is read in two ways."""
    columns = _each_once(one.columns, other.columns)
    return Outputs(
        columns,
        tuple(name for name in _each_once(one.unsure, other.unsure) if name not in columns),
        _each_once(one.dropped_by, other.dropped_by),
        _each_once(one.matched_by, other.matched_by),
    )


def _each_once(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def _is_read(contract: Contract, dataset: str, column: str) -> bool:
    made = origins(contract.transform.sql)
    if made.result.of == dataset and made.result.passed(column.lower()) != Reads():
        return True
    return any(
        reads.any_of(dataset, (column,), perhaps=True)
        for reads in (
            *(column.reads for column in made.result.made.values()),
            *(condition.reads for condition in made.conditions),
        )
    )


def _outputs(contract: Contract, dataset: str, sure: tuple[str, ...], unsure: tuple[str, ...]) -> Outputs:
    """What a transform makes of columns of a dataset, or of INPUT."""
    made = origins(contract.transform.sql)
    certain = made.result.computed_from(dataset, sure)
    perhaps = made.result.computed_from(dataset, (*sure, *unsure), perhaps=True)
    reading = [each for each in made.conditions if each.reads.any_of(dataset, (*sure, *unsure), perhaps=True)]
    return Outputs(
        columns=_published(contract, certain),
        unsure=_published(contract, [name for name in perhaps if name not in certain]),
        dropped_by=tuple(dict.fromkeys(each.text for each in reading if each.drops)),
        matched_by=tuple(dict.fromkeys(each.text for each in reading if not each.drops)),
    )


def _published(contract: Contract, given: Sequence[str]) -> tuple[str, ...]:
    """Those columns of the transform that are published, each once, spelled as they are declared."""
    declared = {field.name.lower(): field.name for field in contract.schema_.fields}
    closed = declared and contract.schema_.evolution != "evolve"
    kept = [name for name in given if name.lower() in declared or not closed]
    return tuple(dict.fromkeys(declared.get(name.lower(), name) for name in kept))


def _read_by(check: Check) -> set[str]:
    """The columns a check reads, in lower case."""
    if isinstance(check, Expression):
        return {mention.path[0] for mention in mentions(sqlglot.parse_one(check.sql, dialect="duckdb"))}
    return _lowered(check.columns if isinstance(check, Unique) else filter(None, [check.subject()]))


def _naming(contract: Contract) -> Iterator[tuple[str, list[str]]]:
    yield "key", contract.key
    yield "load.order_by", contract.load.order_by
    if contract.retention is not None:
        yield "retention.element", [contract.retention.element or ""]
    for at, promise in enumerate(contract.sla):
        yield f"sla[{at}].element", [promise.element or ""]


def _lowered(columns: Iterable[str]) -> set[str]:
    return {name.lower() for name in columns}
