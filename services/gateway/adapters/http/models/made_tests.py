"""Bodies: tests that are made of rows."""

from typing import Any

from pydantic import Field

from services.gateway.adapters.http.models.words import Answer


class MaskedColumn(Answer):
    """A column whose values have stand-ins."""

    column: str = Field(examples=["email"])
    why: str = Field(examples=["customer_email is confidential"])


class MadeTest(Answer):
    """A test that is made of a row, and passes by the version of the dataset file that is live."""

    dataset: str
    id: str = Field(description="The raw record it is made of, partition:offset.", examples=["0:4711"])
    version: int = Field(description="The version it passes by.")
    outcome: str = Field(
        description="What becomes of the row: loaded, or filtered or quarantined by a rule.",
        examples=["quarantined by between_total"],
    )
    recorded: str = Field(description="What became of it when it passed; empty when that is not known.")
    masked: list[MaskedColumn] = Field(
        description="The columns with stand-ins; in other text only addresses and numbers have."
    )
    notes: list[str] = Field(description="What to know before the test is kept.")
    test: dict[str, Any] = Field(description="The test, as it may stand in the list `tests` of a dataset file.")
