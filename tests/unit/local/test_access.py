"""A reader may look at the warehouse, and at nothing else on the machine or the network."""

import pytest

from deploy.local.warehouse.access import check_settings, refusal
from deploy.local.warehouse.errors import EngineError

TABLE_FUNCTIONS = frozenset({"file", "url", "numbers", "view", "invented_next_year"})

SELECT = "SelectWithUnionQuery (children 1)\n ExpressionList (children 1)\n  SelectQuery (children 2)\n   "


def test_plain_select_is_allowed() -> None:
    assert refusal(SELECT + "Function count (children 1)\n   TableIdentifier nyc.flights", TABLE_FUNCTIONS) is None


def test_harmless_table_function_is_allowed() -> None:
    assert refusal(SELECT + "Function numbers (children 1)", TABLE_FUNCTIONS) is None


@pytest.mark.parametrize("name", ["file", "URL", "invented_next_year", "catboostEvaluate", "aiGenerate"])
def test_what_reaches_outside_is_refused(name: str) -> None:
    refused = refusal(SELECT + f"Function {name} (alias x) (children 1)", TABLE_FUNCTIONS)
    assert refused is not None
    assert refused.status == 403


@pytest.mark.parametrize(
    "tree", ["InsertQuery (children 1)", "Set", "SYSTEM query", "KillQueryQuery Literal ASYNC", "UseQuery d"]
)
def test_other_statements_are_refused(tree: str) -> None:
    assert refusal(tree, TABLE_FUNCTIONS) is not None


def test_writing_a_file_is_refused() -> None:
    assert refusal("SelectWithUnionQuery (children 2)\n ExpressionList (children 1)\n Literal 'x.csv'", TABLE_FUNCTIONS)


def test_another_dialect_is_refused() -> None:
    check_settings({"max_threads": "1"})
    with pytest.raises(EngineError):
        check_settings({"dialect": "kusto"})
