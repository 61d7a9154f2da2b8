"""Decides which values out of a dataset's rows its description may show to somebody."""

from headrace.access.policy import Sight
from headrace.contract import Contract, Field


def shows(sight: Sight | None, column: str) -> bool:
    """Whether somebody sees the values of a column in every row. `sight`: of somebody who asks for rows; None: they may not."""
    return sight is not None and sight.rows == "all" and sight.of_column(column) == "all"


def without_values(contract: Contract, sight: Sight | None) -> Contract:
    """The file without values out of rows that are hidden: examples of columns, and tests, which have whole rows."""
    if sight is not None and sight.whole:
        return contract
    fields = [_without_examples(field) if not shows(sight, field.name) else field for field in contract.schema_.fields]
    schema = contract.schema_.model_copy(update={"fields": fields})
    return contract.model_copy(update={"schema_": schema, "tests": []})


def _without_examples(field: Field) -> Field:
    within = [_without_examples(each) for each in field.properties]
    return field.model_copy(update={"examples": [], "properties": within})
