"""From which columns of `input` and of reference data a transform computes its columns, and which of them decide over its rows.

Names are compared without regard to case, as DuckDB does. Where a name can stand for two things, DuckDB takes a column of the
tables before an alias made further left, and an alias before the whole row of a table.

sqlglot's own lineage is not used: it needs the columns of every table, leaves the conditions out, and does not see what
`a.upper()` or `to_json(input)` read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

import sqlglot
from sqlglot import exp

from headrace.contract import rowwise
from headrace.contract.inputs import joined_datasets
from headrace.contract.mentions import EVERY, Mention, mentions
from headrace.contract.rowwise import INPUT
from headrace.contract.sql import UNNESTING, conjuncts, is_inner, worded

#: (a dataset or INPUT, one of its columns in lower case or EVERY)
Atom = tuple[str, str]
_ALL: Final = "SELECT * FROM input"


@dataclass(frozen=True, slots=True)
class Reads:
    """The columns something is computed from: those that are certain, and those of which the SQL alone does not tell.

    `by` are the expressions that do so, all the way from `input`, each as it is written.
    """

    sure: frozenset[Atom] = frozenset()
    perhaps: frozenset[Atom] = frozenset()
    by: frozenset[str] = frozenset()

    def __or__(self, other: "Reads") -> "Reads":
        return Reads(self.sure | other.sure, self.perhaps | other.perhaps, self.by | other.by)

    def weakened(self) -> "Reads":
        """The same, none of it certain."""
        return Reads(perhaps=self.sure | self.perhaps, by=self.by)

    def any_of(self, dataset: str, columns: Sequence[str], perhaps: bool = False) -> bool:
        """Whether one of these columns is among them, with `perhaps` whether it may be."""
        wanted = {(dataset, EVERY), *((dataset, column.lower()) for column in columns)} if columns else set()
        return bool((self.sure | self.perhaps if perhaps else self.sure) & wanted)


@dataclass(frozen=True, slots=True)
class Made:
    """A column that the SQL gives, with its name as it is spelled there."""

    name: str
    reads: Reads


@dataclass(frozen=True, slots=True)
class Relation:
    """The columns of a table, as far as the SQL tells.

    `made` are those it names, by their names in lower case. With `passes`, those of the dataset `of` come through `*` under
    their own names, but for the `hidden` ones; if not `surely`, patterns pick some of them, as written in `picked`. `matched`
    is what every column depends on beside its own origin: the condition of the join that finds the row.
    """

    of: str = INPUT
    made: Mapping[str, Made] = field(default_factory=dict)
    passes: bool = True
    surely: bool = True
    hidden: frozenset[str] = frozenset()
    matched: Reads = Reads()
    picked: tuple[str, ...] = ()

    def passed(self, name: str) -> Reads:
        """What the column of this name is read from, if it comes through `*`."""
        if not self.passes or name in self.hidden:
            return Reads()
        atom = frozenset({(self.of, name)})
        return Reads(sure=atom) if self.surely else Reads(perhaps=atom)

    def read(self, name: str) -> Reads | None:
        """What a column is computed from; None when there is no such column."""
        made = self.made.get(name)
        through = self.passed(name)
        if made is None and through == Reads():
            return None
        return through | self.matched | (made.reads if made else Reads())

    def computed_from(self, dataset: str, columns: Sequence[str], perhaps: bool = False) -> list[str]:
        """The columns that are computed from any of these, with `perhaps` those that may be."""
        passed = [name for name in columns if self.of == dataset and self.passed(name.lower()) != Reads()]
        made = [made.name for made in self.made.values() if made.reads.any_of(dataset, columns, perhaps)]
        return [*(passed if self.surely or perhaps else []), *made]

    def row(self) -> Reads:
        """What a whole row is computed from."""
        reads = _union(made.reads for made in self.made.values()) | self.matched
        every = Reads(sure=frozenset({(self.of, EVERY)}) if self.passes else frozenset())
        return reads | (every if self.surely and not self.hidden else every.weakened())


@dataclass(frozen=True, slots=True)
class Condition:
    """What decides whether a row comes out, or how often. `drops` is false where it cannot take a row away."""

    text: str
    reads: Reads
    drops: bool = True


@dataclass(frozen=True, slots=True)
class Origins:
    """Where the columns of a transform come from, and what decides over its rows, in the order it is applied."""

    result: Relation
    conditions: tuple[Condition, ...]


@lru_cache(256)
def origins(text: str | None) -> Origins:
    """Where the columns of a transform come from. It must be valid; None passes every row as it is."""
    query = sqlglot.parse_one(text or _ALL, dialect="duckdb")
    assert isinstance(query, exp.Select)
    relations = {INPUT: Relation()}
    conditions: list[Condition] = []
    result = relations[INPUT]
    for name, select in rowwise.steps(query):
        source = rowwise.row_source(select)
        assert source is not None
        tables, joins = _joined(select, source.alias_or_name.lower(), relations[source.name.lower()])
        result, aliases = _listed(select, tables)
        conditions += [*joins, *_conditions(select, tables, aliases)]
        relations[name.lower()] = result
    return Origins(result, tuple(conditions))


def _union(several: Iterable[Reads]) -> Reads:
    each = list(several)
    return Reads(
        frozenset[Atom]().union(*(reads.sure for reads in each)),
        frozenset[Atom]().union(*(reads.perhaps for reads in each)),
        frozenset[str]().union(*(reads.by for reads in each)),
    )


def _joined(select: exp.Select, source: str, below: Relation) -> tuple[dict[str, Relation], list[Condition]]:
    """The tables of a SELECT by what it calls them, its own rows first, and the conditions of its joins."""
    tables = {source: below}
    conditions = []
    for join, (alias, dataset) in zip(select.args.get("joins") or [], joined_datasets(select).items(), strict=True):
        found = Relation(of=dataset)
        if on := join.args.get("on"):
            reads = _reads(on, {**tables, alias: found}, {})
            text = f"ON {worded(on)}"
        else:
            shared = [identifier.name for identifier in join.args.get("using") or []]
            reads = _union(_named(Mention((name.lower(),)), tables, {}) | found.passed(name.lower()) for name in shared)
            text = f"USING ({', '.join(shared)})"
            reads |= Reads(by=frozenset({f"{dataset} {text}"}))
        tables[alias] = replace(found, matched=reads)
        conditions.append(Condition(text, reads, is_inner(join)))
    return tables, conditions


def _listed(select: exp.Select, tables: Mapping[str, Relation]) -> tuple[Relation, dict[str, Reads]]:
    """(What a SELECT list gives, what the rest of the SELECT can call by the names it makes)."""
    given = Relation(passes=False)
    made: dict[str, Made] = {}
    aliases: dict[str, Reads] = {}
    for projection in select.expressions:
        if star := _star(projection):
            given = _starred(star, projection, tables, aliases)
            made |= given.made
            continue
        name = projection.alias_or_name
        reads = _reads(projection, tables, aliases)
        above = made.get(name.lower())  # of a `*`: the result has two columns of one name
        made[name.lower()] = Made(name, reads | above.reads if above else reads)
        if isinstance(projection, exp.Alias):
            aliases[name.lower()] = reads
    return replace(given, made=made), aliases


def _star(projection: exp.Expr) -> exp.Star | None:
    """The `*` that a projection is, also where a pattern picks some of its columns."""
    inner = projection.unalias()
    while isinstance(inner, exp.Binary | exp.Not) and not isinstance(inner, exp.Dot):  # LIKE, NOT SIMILAR TO ...
        inner = inner.this
    star = inner.this if isinstance(inner, exp.Column) else inner
    return star if isinstance(star, exp.Star) else None


def _starred(
    star: exp.Star, projection: exp.Expr, tables: Mapping[str, Relation], aliases: Mapping[str, Reads]
) -> Relation:
    """What a `*` gives of the rows that a SELECT takes."""
    below = next(iter(tables.values()))
    whole = (projection is star or isinstance(projection, exp.Column)) and not star.args.get("ilike")
    replaced = {part.alias.lower(): part for part in star.args.get("replace") or []}
    renamed = {part.this.name.lower(): part.alias for part in star.args.get("rename") or []}
    gone = {part.name.lower() for part in star.args.get("except_") or []} | replaced.keys() | renamed.keys()
    made = {name: column for name, column in below.made.items() if name not in gone}
    if not whole:
        made = {name: Made(column.name, column.reads.weakened()) for name, column in made.items()}
    for name, part in replaced.items():
        made[name] = Made(part.alias, _reads(part, tables, aliases))
    for name, new in renamed.items():
        made[new.lower()] = Made(new, below.read(name) or _unknown())
    return Relation(
        of=below.of,
        made=made,
        passes=below.passes,
        surely=below.surely and whole,
        hidden=below.hidden | gone,
        picked=below.picked if whole else (*below.picked, projection.sql(dialect="duckdb", comments=False)),
    )


def _conditions(
    select: exp.Select, tables: Mapping[str, Relation], aliases: Mapping[str, Reads]
) -> Iterator[Condition]:
    """What drops rows of a SELECT after its joins: its WHERE, and lists without items."""
    for part in conjuncts(select):
        yield Condition(worded(part), _reads(part, tables, aliases))
    for projection in select.expressions:
        for call in projection.find_all(exp.UDTF, exp.Anonymous):
            if isinstance(call, exp.UDTF) or call.name.lower() in UNNESTING:
                yield Condition(worded(call), _reads(call, tables, aliases))


def _reads(expression: exp.Expr, tables: Mapping[str, Relation], aliases: Mapping[str, Reads]) -> Reads:
    read = _union(_named(mention, tables, aliases) for mention in set(mentions(expression)))
    if isinstance(expression, exp.Column):  # as it is
        return read
    return read | Reads(by=frozenset({expression.sql(dialect="duckdb", comments=False)}))


def _named(mention: Mention, tables: Mapping[str, Relation], aliases: Mapping[str, Reads]) -> Reads:
    """What a column is computed from, looked for where DuckDB does."""
    (name, *fields), bound = mention
    if name == EVERY:
        return _union(table.row() for table in tables.values()).weakened()
    if fields and name in tables and (reads := tables[name].read(fields[0])) is not None:
        struct = _union(table.passed(name) for table in tables.values())  # a column that is called like the table
        return reads | struct.weakened()
    made = [table.read(name) or Reads() for table in tables.values() if name in table.made]
    if made:  # were it in another table too, DuckDB would ask which is meant
        return _union(made)
    found = [table for table in tables.values() if table.read(name) is not None]
    alias = aliases.get(name, Reads()) if not bound else Reads()
    matched = _union(table.matched for table in found)
    certain = len(found) == 1 and not bound
    reads = _union(table.passed(name) for table in found) | alias | (matched if certain else matched.weakened())
    known = bool(found) or bound or name in aliases
    if name in tables and not bound:  # a table's name is its row, unless there is a column of that name
        return reads | (tables[name].row().weakened() if known else tables[name].row())
    return reads if known else _unknown()


def _unknown() -> Reads:
    """What a name reads that no table has."""
    return Reads(perhaps=frozenset({(INPUT, EVERY)}))
