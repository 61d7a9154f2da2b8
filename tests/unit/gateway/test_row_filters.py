"""Which conditions may filter the rows of a grant."""

import pytest

from headrace.sql_guard import RefusedQueryError
from services.gateway.core.row_filters import checked_rows

COLUMNS = ("tenant", "day", "seen.at", "address", "tags")


@pytest.mark.parametrize(
    "condition",
    [
        "tenant = 'a'",
        "tenant IN ('a', 'b') AND day >= today() - 30",
        "has(tags, 'open') OR arrayExists(x -> x LIKE 'pub%', tags)",
        "address.city = 'Basel' AND seen.at IS NOT NULL",
        "lower(`tenant`) = 'a' -- only theirs",
    ],
)
def test_a_condition_over_one_row_may(condition: str) -> None:
    found = checked_rows(condition, COLUMNS)
    assert found.startswith("(")
    assert checked_rows(found, COLUMNS) == f"({found})", "what was checked may be checked again"


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("", "not one condition|cannot be read"),
        ("owner = 'a'", "no column owner; there are address, day"),
        ("f.tenant = 'a'", "no column f.tenant"),
        ("tenant = 'a') OR (1 = 1", "cannot be read"),
        ("tenant IN (SELECT tenant FROM nyc.other)", "without a query"),
        ("count() > 1", "count is about several"),
        ("sumIf(day, 1) > 1", "sumIf is about several"),
        ("arrayJoin(tags) = 'x'", "arrayJoin is about several"),
        ("row_number() OVER (ORDER BY day) = 1", "row_number is about several"),
        ("file('/etc/passwd') = tenant", "the function file"),
        ("tenant = {who:String}", "parameters"),
        ("tenant = '" + "x" * 10_001 + "'", "10000 are the most"),
    ],
)
def test_anything_else_may_not(condition: str, why: str) -> None:
    with pytest.raises(RefusedQueryError, match=why):
        checked_rows(condition, COLUMNS)
