"""How names and values of a dataset file are written in SQL."""

from sqlglot import exp


def quoted(name: str) -> str:
    """`name` as an identifier, whatever characters it has."""
    return exp.to_identifier(name, quoted=True).sql("duckdb")


def literal(value: bool | int | float | str) -> str:
    """`value` as a constant, whatever characters it has."""
    return exp.convert(value).sql("duckdb")
