"""Decides which rows a decision by hand is about."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from headrace.stream.overrides import Decisions, Override
from services.gateway.core.incidents import HELD, Incident


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A row that waits for a decision, by the incident that tells of it."""

    dataset: str
    partition: int
    offset: int
    rule: str
    reason: str
    detail: str
    since: datetime

    @property
    def place(self) -> str:
        """Its raw record, as people name it."""
        return f"{self.partition}:{self.offset}"


def held_row(incident: Incident) -> HeldRow | None:
    """The row that an incident tells of; None when it tells of none."""
    data = incident.told
    if incident.type != HELD or incident.dataset is None or not {"partition", "offset", "rule"} <= data.keys():
        return None
    texts = {name: str(data.get(name, "")) for name in ("rule", "reason", "detail")}
    return HeldRow(incident.dataset, int(data["partition"]), int(data["offset"]), **texts, since=incident.at)


def each_once(rows: Iterable[HeldRow]) -> list[HeldRow]:
    """The rows, each as it was first told of: an instance that takes a partition over tells of its row again."""
    found: dict[tuple[str, str], HeldRow] = {}
    for row in sorted(rows, key=lambda row: (row.dataset, row.partition, row.offset, row.since)):
        found.setdefault((row.dataset, row.place), row)
    return list(found.values())


def not_held(raw: Iterable[str], held: Collection[HeldRow], overrides: Iterable[Override]) -> list[str]:
    """What is to be said of raw records that were to be decided about and are not, or no longer, held."""
    overrides, places = list(overrides), {row.place for row in held}
    return [f"{place} is not held{_by_whom(place, overrides)}" for place in raw if place not in places]


def _by_whom(place: str, overrides: Iterable[Override]) -> str:
    partition, _, offset = place.partition(":")
    about = (each for each in overrides if each.act != "pin" and each.covers(int(partition), int(offset)))
    return "".join(f" any more: {each.act} by {each.told}" for each in list(about)[-1:])


def undecided(incidents: Iterable[Incident], overrides: Iterable[Override]) -> tuple[Incident, ...]:
    """The incidents but those of held rows that somebody has decided about since: the transformer is about to go on."""
    overrides = list(overrides)

    def is_decided(incident: Incident) -> bool:
        row = held_row(incident)
        if row is None:
            return False
        decisions = Decisions.about(row.dataset, overrides)
        skipped = any(each.covers(row.partition, row.offset) for each in decisions.skips())
        return skipped or decisions.on(row.rule, row.partition, row.offset) is not None

    return tuple(incident for incident in incidents if not is_decided(incident))


def release(
    row: HeldRow,
    act: Literal["pass", "quarantine"],
    at: datetime,
    by: str,
    because: str,
    rows: int,
    ends: Mapping[int, int],
) -> list[Override]:
    """The decision about a held row, and others that the same check holds: the next `rows` raw rows of its partition in all, and
    in every partition of `ends` those in front of its end.
    """
    stretches = {row.partition: (row.offset, row.offset + rows - 1)}
    for partition, end in ends.items():
        first = row.offset if partition == row.partition else 0
        stretches[partition] = (first, max(end - 1, stretches.get(partition, (0, -1))[1]))
    return [
        Override(row.dataset, act, at, by, because, partition, first, last, row.rule)
        for partition, (first, last) in sorted(stretches.items())
        if last >= first
    ]


def skip_of(overrides: list[Override], partition: int, offset: int, decided_at: datetime | None) -> Override | None:
    """The skip that left a raw record out: one that stood when that was decided about, as far as it is known when."""
    skips = (each for each in overrides if each.act == "skip" and each.covers(partition, offset))
    return next((each for each in skips if decided_at is None or each.at <= decided_at), None)
