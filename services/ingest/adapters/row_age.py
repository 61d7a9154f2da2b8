"""Finds the raw offset that a row which is written anew is as old as, so that it does not replace a newer one of its key."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Protocol

from services.ingest.adapters.raw_topic import Forgotten, RawRecord
from services.ingest.core.quarantine import Age, Asked


class Past(Protocol):
    """What is asked of raw topics. See `RawTopics`."""

    def record(self, dataset: str, partition: int, offset: int) -> RawRecord | None: ...

    def offset_before(self, dataset: str, partition: int, at: datetime) -> int: ...


def origins(
    past: Past, asked: Sequence[Asked], targets: Sequence[int], ages: Sequence[Age], keys: Sequence[bytes | None]
) -> dict[int, int | str]:
    """The raw offset that each row is as old as, in the partition it is written to, or why none can be told; by place.

    Errors: Transient.
    """
    before, record = cache(past.offset_before), cache(past.record)
    found: dict[int, int | str] = {}
    for row, (each, target, age, key) in enumerate(zip(asked, targets, ages, keys, strict=True)):
        try:
            if age.offset is not None and (age.anywhere or target == each.partition):
                found[row] = age.offset
                continue
            if age.again:
                raise Forgotten("it is as old as another record, and its key is edited now, or that is not known")
            found[row] = place = before(each.dataset, target, age.since)
            if place < 0:  # older than all: no offset is below 0, and at 0 it would replace what is there
                head = record(each.dataset, target, 0)
                if head is not None and head.key == key:
                    raise Forgotten("the first record of its partition has its key")
                found[row] = 0
        except Forgotten as error:
            found[row] = f"whether newer rows of its key have come since cannot be told any more: {error}"
    return found
