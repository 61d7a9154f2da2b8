"""Decides which dataset comes from which, column by column, and what breaks when a column goes."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from headrace.contract import Contract, References, checks_on, dependencies, readers_of, settings_on
from headrace.contract.sql import examine
from headrace.contract.transform_tests import Rows, TransformTest

Direction = Literal["upstream", "downstream", "both"]
How = Literal["source", "transform", "check"]
MOST_DATASETS: Final = 500


@dataclass(frozen=True, slots=True)
class ColumnEdge:
    """A column that is computed from another: surely, or perhaps, where the SQL alone does not tell."""

    origin: str
    column: str
    sure: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """A dataset that reads another: as its source, in its transform, or to check its rows."""

    origin: str
    dataset: str
    how: tuple[How, ...]
    checks: tuple[str, ...]
    columns: tuple[ColumnEdge, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """The datasets around one, each with how far it is (upstream below 0), and which reads which. `cut`: there are more."""

    distances: Mapping[str, int]
    edges: tuple[Edge, ...]
    cut: bool


def edge(contract: Contract, origin: str, columns: Iterable[str]) -> Edge:
    """What a dataset reads of another, of which these columns are known."""
    checks = tuple(
        check.name or check.check
        for check in contract.checks
        if isinstance(check, References) and check.dataset == origin
    )
    ways: dict[How, bool] = {
        "source": origin in contract.source.references,
        "transform": origin in examine(contract.transform.sql).references,
        "check": bool(checks),
    }
    read = tuple(_columns(contract, origin, columns))
    return Edge(origin, contract.dataset, tuple(how for how, so in ways.items() if so), checks, read)


def _columns(contract: Contract, origin: str, columns: Iterable[str]) -> Iterator[ColumnEdge]:
    for column in columns:
        for reader in readers_of(origin, [column], {contract.dataset: contract}):
            if reader.via == origin:
                yield from (ColumnEdge(column, name, True) for name in reader.outputs.columns)
                yield from (ColumnEdge(column, name, False) for name in reader.outputs.unsure)


def around(
    dataset: str,
    direction: Direction,
    depth: int,
    contract_of: Callable[[str], Contract | None],
    mentioned_by: Callable[[str], Iterable[str]],
    columns_of: Callable[[str], Iterable[str]],
) -> Graph:
    """The datasets at most `depth` steps from one, up or down. `mentioned_by`: those whose files may name a dataset."""

    def up(name: str) -> Iterator[str]:
        contract = contract_of(name)
        yield from sorted(dependencies(contract) - {name}) if contract is not None else ()

    def down(name: str) -> Iterator[str]:
        yield from sorted(each for each in mentioned_by(name) if each != name and name in set(up(each)))

    distances, cut = {dataset: 0}, False
    for step, wanted, sign in ((up, "upstream", -1), (down, "downstream", 1)):
        if direction in (wanted, "both"):
            found, more = _walked(dataset, depth, step)
            distances |= {name: sign * far for name, far in found.items() if name not in distances}
            cut |= more
    known = {name for name in distances if contract_of(name) is not None}
    edges = [
        edge(contract, origin, columns_of(origin))
        for name in distances
        if (contract := contract_of(name)) is not None
        for origin in up(name)
        if origin in known
    ]
    return Graph({name: distances[name] for name in distances if name in known}, tuple(edges), cut)


def _walked(begin: str, depth: int, step: Callable[[str], Iterable[str]]) -> tuple[dict[str, int], bool]:
    """How far each dataset is that can be reached, and whether there are others behind them."""
    found, waiting = {begin: 0}, [begin]
    while waiting:
        name = waiting.pop(0)
        for each in step(name):
            if each in found:
                continue
            if found[name] == depth or len(found) > MOST_DATASETS:
                return found, True
            found[each] = found[name] + 1
            waiting.append(each)
    return found, False


@dataclass(frozen=True, slots=True)
class Broken:
    """What of a dataset leans on what goes. `columns` are computed from it, `perhaps` those of which the SQL does not tell.

    `reads` are the columns of `via` it reads, `conditions` those of its SQL that decide over rows by them. All that leans on its
    own columns that are computed from them is among it: checks, tests, settings of its file.
    """

    dataset: str
    via: str
    distance: int
    reads: tuple[str, ...]
    columns: tuple[str, ...]
    perhaps: tuple[str, ...]
    conditions: tuple[str, ...]
    checks: tuple[str, ...]
    tests: tuple[str, ...]
    settings: tuple[str, ...]


def broken_by(dataset: str, columns: Sequence[str], contracts: Mapping[str, Contract]) -> list[Broken]:
    """What breaks when columns of a dataset go: in the dataset itself, and in all that reads them, directly or through others.

    `contracts` are the dataset and all that lean on it, by name.
    """
    own = contracts[dataset]
    found = []
    first = Broken(
        dataset,
        "",
        0,
        (),
        (),
        (),
        (),
        checks_on(own, columns),
        expecting(own.tests, columns),
        settings_on(own, columns),
    )
    if first.checks or first.tests or first.settings:
        found.append(first)
    distances = {dataset: 0}
    for reader in readers_of(dataset, columns, contracts):
        contract = contracts[reader.dataset]
        theirs = (*reader.outputs.columns, *reader.outputs.unsure)
        distance = distances.setdefault(reader.dataset, distances.get(reader.via, 0) + 1)
        found.append(
            Broken(
                reader.dataset,
                reader.via,
                distance,
                reader.reads,
                reader.outputs.columns,
                reader.outputs.unsure,
                (*reader.outputs.dropped_by, *reader.outputs.matched_by),
                tuple(dict.fromkeys((*reader.checks, *checks_on(contract, theirs)))),
                expecting(contract.tests, theirs, reader.via, reader.reads),
                settings_on(contract, theirs),
            )
        )
    return found


def leaning(graph: Graph, dataset: str, told: Iterable[Broken]) -> list[Broken]:
    """Who else leans on a dataset when all of it goes, whatever it reads: those of the graph that were not told of."""
    known = {(each.dataset, each.via) for each in told}
    return [
        Broken(each.dataset, each.origin, graph.distances[each.dataset], (), (), (), (), each.checks, (), ())
        for each in graph.edges
        if (each.dataset, each.origin) not in known and each.dataset != dataset and graph.distances[each.dataset] > 0
    ]


def expecting(
    tests: Iterable[TransformTest], columns: Collection[str], of: str = "", theirs: Collection[str] = ()
) -> tuple[str, ...]:
    """The tests that expect something of these columns, or give rows of the dataset `of` with any of `theirs`."""
    wanted, given = {name.lower() for name in columns}, {name.lower() for name in theirs}
    found = []
    for test in tests:
        expected = _names(test.expect.rows) | {name.lower() for name in test.expect.ranges}
        if expected & wanted or (of in test.ref and _names(test.ref[of]) & given):
            found.append(test.name)
    return tuple(found)


def _names(rows: Rows | None) -> set[str]:
    """The columns that some rows have; of text, every word that can be one."""
    if rows is None:
        return set()
    if isinstance(rows, str):
        lines = rows.strip().splitlines()
        text = rows if lines and lines[0].startswith("{") else "".join(lines[:1])
        return {word.lower() for word in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text)}
    return {name.lower() for row in rows for name in row}
