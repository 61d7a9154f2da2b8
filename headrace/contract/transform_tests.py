"""What a unit test of a transform says: rows that are given, and what must become of them."""

from typing import Annotated, Any

from pydantic import Field as Setting

from headrace.contract.checks import Bound, CheckName, DatasetName
from headrace.contract.fields import ColumnName
from headrace.contract.section import Section

Count = Annotated[int, Setting(ge=0)]
Rows = list[dict[str, Any]] | str


class Range(Section):
    """The least and the greatest value, both of which belong to it; at least one of them is given."""

    min: Bound | None = Setting(None, description="The least value: a number, or a date or timestamp as text.")
    max: Bound | None = Setting(None, description="The greatest value: a number, or a date or timestamp as text.")


class CountRange(Section):
    """How many, at least and at most."""

    min: Count = Setting(0, description="At least so many.")
    max: Count | None = Setting(None, description="At most so many; any number when not given.")


class Expectation(Section):
    """What must become of the rows that are given. What is not mentioned may be anything, but for `rejected`."""

    rows: Rows | None = Setting(
        None,
        description="The published rows, written as in `given`. Compared by `key` when the rows name its columns, else in order; "
        "only the columns that a row names are compared (`_flags` may be one).",
    )
    row_count: Count | CountRange | None = Setting(
        None, description="How many rows are published: a number, or a mapping with `min` and `max`."
    )
    ranges: dict[ColumnName, Range] = Setting(
        {}, description="Between which values each published row has a column; a missing value is in no range."
    )
    rejected: Count | dict[CheckName, Count] = Setting(
        0,
        description="How many of the given rows are quarantined: in all, or by the check that sets them aside "
        "(`required_<column>` and `type_<column>` for what `schema.fields` declares), which then are all that are.",
    )
    flagged: Count | dict[CheckName, Count] | None = Setting(
        None, description="How many published rows carry a flag: in all, or by check, which then are all the flags."
    )
    filtered: Count | dict[str, Count] | None = Setting(
        None,
        description="How many of the given rows the SQL leaves out: in all, or by condition as the ledger words it "
        "(`dep_time IS NOT NULL`), which then are all that do.",
    )


class TransformTest(Section):
    """A test of the transform and the checks: some rows of the source, and what must become of them."""

    name: Annotated[str, Setting(min_length=1, max_length=120)] = Setting(
        description="What is tested, in a few words: `an overnight arrival`."
    )
    description: str | None = Setting(None, description="Why it matters.")
    given: Rows = Setting(
        description="Rows of the source: a list of mappings, or text, either CSV with a header or JSON Lines. Only the columns "
        "that matter: the others are null."
    )
    before: Rows = Setting(
        [],
        description="Rows of the source that came earlier, written as `given` is. They go through the same SQL and checks; what "
        "becomes of them is not looked at. For checks that know them, such as `unique`.",
    )
    ref: dict[DatasetName, Rows] = Setting(
        {},
        description="The rows of other datasets, by name. A dataset that the SQL joins must be among them; a `references` check "
        "on one that is not is left out of this test.",
    )
    expect: Expectation = Setting(description="What must become of the given rows.")


class SeparateTests(Section):
    """`<name>.tests.yaml`, beside the dataset file `<name>.yaml`."""

    tests: list[TransformTest] = Setting(description="The tests, as in the dataset file.")
