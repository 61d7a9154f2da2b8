"""Dataset files to the Open Data Contract Standard and back."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from headrace import contract

Run = Callable[..., Result]

FLIGHTS = """\
dataset: nyc.flights
description: Flights.
owner: {team: data}
source: {type: file, path: data/flights.csv}
schema:
  fields:
    - {name: carrier, logicalType: string, required: true}
    - {name: distance, logicalType: integer}
transform:
  sql: |
    SELECT carrier, distance
    FROM input
    WHERE dep_time IS NOT NULL
checks:
  - {check: in, column: carrier, values: ["no", "1:30", "0o17", "null"]}
load: {order_by: [carrier]}
"""


def test_a_dataset_file_survives_the_way_there_and_back(run: Run, tmp_path: Path) -> None:
    original, standard, again = (tmp_path / name for name in ("a.yaml", "a.odcs.yaml", "b.yaml"))
    original.write_text(FLIGHTS)
    assert run("contract", "export", "--odcs", str(original), "--out", str(standard)).exit_code == 0
    assert yaml.safe_load(standard.read_text())["kind"] == "DataContract"
    assert run("contract", "import", str(standard), "--out", str(again)).exit_code == 0
    assert contract.load(again.read_text()) == contract.load(FLIGHTS)
    assert "sql: |" in again.read_text(), "SQL stays readable"


def test_it_works_on_pipes(run: Run) -> None:
    exported = run("contract", "export", "--odcs", "-", input=FLIGHTS)
    assert exported.exit_code == 0
    imported = run("contract", "import", "-", input=exported.stdout)
    assert contract.load(imported.stdout) == contract.load(FLIGHTS)


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "a: [", "apiVersion: 7\nschema: 3\n", ""])
def test_what_is_no_contract_is_a_clear_error(run: Run, text: str) -> None:
    result = run("contract", "import", "-", input=text)
    assert result.exit_code == 1
    assert "Error:" in result.stderr
    assert result.stdout == ""


def test_an_invalid_dataset_file_is_not_exported(run: Run) -> None:
    result = run("contract", "export", "--odcs", "-", input=FLIGHTS.replace("order_by", "order"))
    assert result.exit_code == 1
    assert "load.order" in result.stderr


TWO_TABLES = """
apiVersion: v3.1.0
kind: DataContract
id: shop
version: 1.0.0
status: active
domain: shop
description: {purpose: The shop.}
slaProperties: [{property: completeness, value: 99}]
schema:
  - {name: orders, properties: [{name: id, logicalType: integer}]}
  - {name: items, properties: [{name: sku, logicalType: string}]}
"""


def test_of_several_tables_one_is_chosen(run: Run) -> None:
    unsaid = run("contract", "import", "-", input=TWO_TABLES)
    assert (unsaid.exit_code, unsaid.stdout) == (1, "")
    assert "one of orders, items" in unsaid.stderr
    chosen = run("contract", "import", "-", "--table", "items", input=TWO_TABLES)
    assert contract.load(chosen.stdout).dataset == "shop.items"
    assert run("contract", "import", "-", "--table", "nothing", input=TWO_TABLES).exit_code == 1


def test_what_is_left_out_is_said(run: Run) -> None:
    chosen = run("contract", "import", "-", "--table", "orders", input=TWO_TABLES)
    assert "completeness 99" in chosen.stderr
