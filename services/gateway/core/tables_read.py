"""Decides which datasets a query reads, by the tables it names."""

from sqlglot import exp

from headrace.sql_guard import parsed


def tables_of(sql: str) -> set[str]:
    """The names of the datasets whose tables, of whatever generation, or quarantine a query names. Errors: RefusedQueryError."""
    query, _ = parsed(sql)
    named = ((table.db, table.name) for table in query.find_all(exp.Table) if table.db)
    return {f"{domain}.{name.partition('__')[0]}" for domain, name in named}
