"""Decides which names that a WITH gives are seen where in a query, and which of them a part of it takes along."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp


@dataclass(frozen=True, slots=True)
class Named:
    """A query that a WITH gives a name, and what it sees itself."""

    cte: exp.CTE
    sees: "Names"


@dataclass(frozen=True, slots=True)
class Names:
    """What a query sees that stands around it: named queries, and expressions that a WITH names."""

    queries: Mapping[str, Named] = field(default_factory=dict)
    scalars: Mapping[str, exp.CTE] = field(default_factory=dict)

    def within(self, query: exp.Query) -> "Names":
        """What is seen within a query."""
        given = query.args.get("with_")
        found = self
        for cte in given.expressions if given is not None else ():
            if cte.args.get("scalar"):
                found = Names(found.queries, {**found.scalars, cte.alias: cte})
            else:
                others = {name: query for name, query in found.queries.items() if name != cte.alias}
                found = Names({**others, cte.alias: Named(cte, found)}, found.scalars)
        return found

    def clause(self, used: exp.Expr, dropped: set[str]) -> str:
        """The WITH in front of what uses these names, as far as it does."""
        named = {table.name for table in used.find_all(exp.Table) if not table.db}
        wanted: dict[str, exp.CTE] = {}
        for name, found in reversed(list(self.queries.items())):
            if name in named:
                wanted[name] = found.cte
                named |= {table.name for table in found.cte.find_all(exp.Table) if not table.db}
        scalars = [cte for name, cte in self.scalars.items() if name not in dropped]
        every = [*scalars, *reversed(wanted.values())]
        return f"WITH {', '.join(each.sql(dialect='clickhouse') for each in every)} " if every else ""
