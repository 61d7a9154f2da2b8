"""What differs between two versions of a dataset file, and which differences need a new generation."""

import pytest

from headrace.contract import diff, needs_generation
from tests.unit.contract.documents import ORDERS, contract, edited

BREAKING = {
    "column removed": [
        ("    - name: total\n      logicalType: number\n", ""),
        ("column: total\n    min: 0", "column: order_id\n    min: 'a'"),
    ],
    "column retyped": [("logicalType: number", "logicalType: integer")],
    "column narrowed": [("logicalType: number", "logicalType: number\n      logicalTypeOptions: {format: f32}")],
    "column required": [("logicalType: number", "logicalType: number\n      required: true")],
    "required column added": [
        ("    - name: total", "    - name: more\n      logicalType: string\n      required: true\n    - name: total"),
        ("SELECT order_id,", "SELECT order_id, more,"),
    ],
    "key": [("key: [order_id]", "key: []"), ("mode: upsert", "mode: append")],
    "partitions": [("partitions: 2", "partitions: 4")],
    "mode": [("mode: upsert", "mode: append")],
    "order_by": [("mode: upsert", "mode: upsert\n  order_by: [order_id]")],
}  # fmt: skip
HARMLESS = {
    "description": [("description: Order lines.", "description: Lines of orders.")],
    "column described": [("logicalType: number", "logicalType: number\n      description: In euros.")],
    "column classified": [("logicalType: number", "logicalType: number\n      classification: restricted")],
    "optional column added": [
        ("    - name: total", "    - name: more\n      logicalType: string\n    - name: total"),
        ("SELECT order_id,", "SELECT order_id, more,"),
    ],
    "check": [("min: 0", "min: 1")],
    "sql": [("FROM input", "FROM input\n    WHERE total > 0")],
    "owner": [("team: shop", "team: sales")],
    "retention": [("partitions: 2", "partitions: 2\nretention: {value: 30}")],
}  # fmt: skip


@pytest.mark.parametrize("replacements", BREAKING.values(), ids=BREAKING.keys())
def test_what_the_table_cannot_take_needs_a_generation(replacements: list[tuple[str, str]]) -> None:
    changes = diff(contract(ORDERS), contract(edited(*replacements)))
    assert needs_generation(changes)
    assert all(change.why for change in changes)


@pytest.mark.parametrize("replacements", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_the_table_can_take_needs_none(replacements: list[tuple[str, str]]) -> None:
    changes = diff(contract(ORDERS), contract(edited(*replacements)))
    assert changes
    assert not needs_generation(changes)


def test_a_change_names_its_path_and_both_values() -> None:
    [change] = diff(contract(ORDERS), contract(edited(("logicalType: number", "logicalType: integer"))))
    assert (change.path, change.kind) == ("schema.fields[total].logicalType", "changed")
    assert (change.before, change.after) == ("number", "integer")


def test_declaring_the_columns_of_a_table_that_was_inferred_may_change_their_types() -> None:
    undeclared = edited((ORDERS[ORDERS.index("schema:") : ORDERS.index("key:")], ""))
    assert needs_generation(diff(contract(undeclared), contract(ORDERS)))


def test_a_new_dataset_is_one_addition() -> None:
    [change] = diff(None, contract(ORDERS))
    assert (change.kind, change.after, change.breaking) == ("added", "shop.orders", False)


def test_the_same_file_written_otherwise_is_no_change() -> None:
    lines = edited(("partitions: 2\n", "")) + "tags: []\nclassification: internal\n"
    assert diff(contract(ORDERS), contract(lines)) == []
    assert contract(ORDERS).canonical_json() == contract(lines).canonical_json()
