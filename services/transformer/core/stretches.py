"""Decides which raw records of a partition are taken from the lake: those in front of the first that is left in the topic."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Seam:
    """Where the staged topic begins: in front of the raw offset `raw` its records are deleted; `staged` is where to read on."""

    raw: int
    staged: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """The raw offsets of a partition that are to be read, `until` not among them."""

    next: int
    until: int

    def after(self, offset: int) -> "Stretch":
        """What is left when this one has been read."""
        return replace(self, next=offset + 1)


def left(committed: int, seam: Seam, passed: Stretch | None) -> Stretch | None:
    """What is left to read in front of the seam; None when nothing is.

    `passed` is the last stretch that was read to its end: that there is nothing more between its last record and `until` is
    known only to whoever has looked, so it counts only as long as what it had delivered stands committed.
    """
    begun = passed.until if passed is not None and passed.next == committed else committed
    return Stretch(begun, seam.raw) if begun < seam.raw else None
