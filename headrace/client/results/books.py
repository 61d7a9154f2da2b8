"""Where every row went."""

from pydantic import Field

from headrace.client.results.base import Result


class Books(Result):
    """Rows by fate: read + multiplied = loaded + filtered + quarantined + discarded + parked + in flight; the residue is 0."""

    read: int = 0
    multiplied: int = 0  # rows that exist because one row became several
    loaded: int = 0
    filtered: dict[str, int] = Field(default_factory=dict)  # by rule
    quarantined: dict[str, int] = Field(default_factory=dict)  # by reason
    resubmitted: dict[str, int] = Field(default_factory=dict)  # by the reason they had; not part of the sum
    discarded: dict[str, int] = Field(default_factory=dict)  # by the reason they had
    parked: dict[str, int] = Field(default_factory=dict)  # by the check that lets them wait
    in_flight: int = 0
    residue: int = 0
    hashes_agree: bool | None = None  # None while rows are in flight

    @property
    def filtered_rows(self) -> int:
        return sum(self.filtered.values())

    @property
    def quarantined_rows(self) -> int:
        return sum(self.quarantined.values())

    @property
    def resubmitted_rows(self) -> int:
        return sum(self.resubmitted.values())

    @property
    def discarded_rows(self) -> int:
        return sum(self.discarded.values())

    @property
    def parked_rows(self) -> int:
        return sum(self.parked.values())

    @property
    def settled_rows(self) -> int:
        """Rows that have reached their fate."""
        return self.loaded + self.filtered_rows + self.quarantined_rows + self.discarded_rows

    @property
    def balanced(self) -> bool:
        """Whether every row read is accounted for."""
        accounted = self.settled_rows + self.parked_rows + self.in_flight
        return self.residue == 0 and self.read + self.multiplied == accounted and self.hashes_agree is not False


class PartitionBooks(Books):
    """The books of one partition."""

    partition: int


class StageBooks(Result):
    """What one stage did with its input: every row has one fate."""

    stage: str
    rows_in: int = 0
    emitted: int = 0
    rows_out: int = 0
    filtered: dict[str, int] = Field(default_factory=dict)
    quarantined: dict[str, int] = Field(default_factory=dict)
    parked: dict[str, int] = Field(default_factory=dict)
    residue: int = 0


class Ledger(Books):
    """The books of a dataset."""

    dataset: str
    generation: int = 1
    settled: bool = False
    waiting_for: tuple[str, ...] = ()  # why it is not settled
    problems: tuple[str, ...] = ()  # those of the reasons that need a person
    partitions: tuple[PartitionBooks, ...] = ()
    stages: tuple[StageBooks, ...] = ()
