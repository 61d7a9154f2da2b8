"""What a dataset file says of another dataset whose rows it takes."""

from typing import ClassVar, Literal

from pydantic import Field as Setting

from headrace.contract.checks import DatasetName
from headrace.contract.source import SourceSettings


class DatasetSource(SourceSettings):
    """The published rows of another dataset of this Headrace, as they come: so rows branch, each where a condition sends it."""

    ends: ClassVar[bool] = False
    passes_on: ClassVar[bool] = True

    type: Literal["dataset"] = Setting(description="The connector.")
    dataset: DatasetName = Setting(description="The dataset whose rows are taken, once they have passed its checks.")
    start: Literal["earliest", "latest"] = Setting(
        "earliest", description="Where the first reading starts: at the first row there is, or with the rows to come."
    )
    snapshot: int = Setting(
        1,
        ge=1,
        description="Raise it to have every row read again, from the generation of the other dataset that is live by then.",
    )

    @property
    def references(self) -> tuple[str, ...]:
        """See `SourceSettings.references`."""
        return (self.dataset,)

    def why_no_backfill(self, mode: str) -> str:
        """See `SourceSettings.why_no_backfill`."""
        del mode
        return f"its rows are those of {self.dataset}: raise source.snapshot to have all of them read again"
