"""Dataset files for the tests: one that is right, and edits that make it wrong."""

from pathlib import Path
from textwrap import dedent

from headrace.contract import Contract, ContractError, Problem, load

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted([*(ROOT / "schemas/examples/datasets").glob("*.yaml"), *(ROOT / "examples").glob("*/*.yaml")])

ORDERS = dedent("""\
    dataset: shop.orders
    description: Order lines.
    owner:
      team: shop
    source:
      type: file
      path: data/orders.csv
    schema:
      fields:
        - name: order_id
          logicalType: string
          required: true
        - name: total
          logicalType: number
    key: [order_id]
    transform:
      sql: |
        SELECT order_id, total
        FROM input
    checks:
      - check: between
        column: total
        min: 0
    load:
      mode: upsert
    partitions: 2
    """)


def edited(*replacements: tuple[str, str]) -> str:
    text = ORDERS
    for before, after in replacements:
        assert before in text, before
        text = text.replace(before, after, 1)
    return text


def with_sql(sql: str) -> str:
    """A dataset that declares nothing but its SQL."""
    head = ORDERS.partition("schema:")[0]
    indented = "\n".join(f"    {line}" for line in sql.splitlines())
    return f"{head}transform:\n  sql: |\n{indented}\n"


def problems(text: str) -> list[Problem]:
    """What is wrong with a dataset file; nothing when it is right."""
    try:
        load(text)
    except ContractError as error:
        return error.problems
    return []


def contract(text: str) -> Contract:
    return load(text)
