"""What the facts say of a raw record."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.core.passport import (
    Evidence,
    Found,
    Place,
    Stamp,
    Step,
    by_place,
    fate,
    likely_rule,
    place_of,
    schema_fields,
    sole_rule,
    stamped,
)

STAGES = ("stager", "transformer", "quality", "loader")
TOPICS = ("d.t.raw", "d.t.staged", "d.t.transformed.v1", "d.t.validated.v1")


PARKED = {
    "column": "dest",
    "wanted": "SJU",
    "parent": "nyc.airports",
    "rule": "known_dest",
    "since": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    "until": datetime(2026, 1, 2, 3, 14, tzinfo=UTC),
}


def evidence(*offsets: int | None, read: tuple[int, ...] = (99, 99, 99, 99), **more: Any) -> Evidence:
    """A record that stands at these offsets of the topics, each of which has a younger one."""
    each = [*offsets, *[None] * (4 - len(offsets))]
    steps = [
        Step(stage, topic, Found(() if at is None else (at,), True, True), upto)
        for stage, topic, at, upto in zip(STAGES, TOPICS, each, read, strict=True)
    ]
    return Evidence(steps, **more)


def changed(known: Evidence, number: int, **more: Any) -> Evidence:
    """The evidence with another finding in one topic."""
    step = known.steps[number]
    found = {name: more.pop(name) for name in ("offsets", "reaches_back", "beyond") if name in more}
    steps = list(known.steps)
    steps[number] = replace(step, found=replace(step.found, **found), **more)
    return replace(known, steps=steps)


@pytest.mark.parametrize(
    ("known", "state", "stage"),
    [
        (evidence(7, 7, 7, 7, rows=1, shown=1), "loaded", "loader"),
        (evidence(None, None, None, 7, rows=1, shown=1), "loaded", "loader"),
        (evidence(7, read=(7, 0, 0, 0)), "in_flight", "stager"),
        (evidence(7, 7, read=(8, 7, 0, 0)), "in_flight", "transformer"),
        (evidence(7, 7, 7, read=(8, 8, 7, 0)), "in_flight", "quality"),
        (evidence(7, 7, 7, 7, read=(8, 8, 8, 7)), "in_flight", "loader"),
        (evidence(7, 7), "filtered", "transformer"),
        (evidence(7, 7, waiting=True), "quarantined", None),
        (evidence(7, 7, parked=PARKED), "parked", "transformer"),
        (evidence(7, 7, in_doubt=True), "unknown", None),
        (evidence(7, 7, 7, 7, in_doubt=True, mode="upsert"), "superseded", "loader"),
        (evidence(None, in_doubt=True), "unknown", None),
        (evidence(7, 7, parked=PARKED, quarantined=["open"]), "quarantined", None),
        (evidence(7, 7, quarantined=["open"]), "quarantined", None),
        (evidence(7, 7, quarantined=["resubmitted"]), "resubmitted", None),
        (evidence(7, 7, quarantined=["discarded"]), "discarded", None),
        (evidence(7, 7, 7, 7, mode="upsert"), "superseded", "loader"),
        (evidence(7, 7, 7, 7, mode="replace"), "superseded", "loader"),
        (evidence(7, 7, 7, 7, expires=True), "expired", "loader"),
        (evidence(7, 7, 7, 7), "missing", "loader"),
        (evidence(7), "missing", "stager"),
        (evidence(7, 7, 7), "missing", "quality"),
        (evidence(), "filtered", "transformer"),  # the lake had it, and the last topic never
        (evidence(existed=False), "unknown", None),
        (changed(evidence(None, 7, existed=False), 2, reaches_back=False), "filtered", "transformer"),
        (changed(evidence(), 3, reaches_back=False), "unknown", None),
        (changed(evidence(), 3, beyond=False), "unknown", None),
        (changed(evidence(7), 1, reaches_back=False), "filtered", "transformer"),
        (changed(changed(evidence(7), 1, reaches_back=False), 3, reaches_back=False), "unknown", None),
    ],
)
def test_the_fate_follows_from_where_the_record_stands_and_who_has_read_it(
    known: Evidence, state: str, stage: str | None
) -> None:
    found = fate(known)
    assert (found.state, found.stage) == (state, stage)
    assert found.detail


def test_what_a_transaction_may_still_show_is_in_flight() -> None:
    """The commit is decided and the topic not told yet: the group has passed, and nothing can be seen."""
    quiet = changed(evidence(7, 7), 2, beyond=False)
    assert fate(quiet).state == "filtered"  # the control: no transaction is open
    assert fate(changed(quiet, 2, undecided=True)).state == "in_flight"
    assert fate(replace(quiet, undecided=True)).state == "in_flight"
    # What is younger stands there: all that was written with the record is decided, whatever is open now.
    assert fate(changed(evidence(7, 7), 2, undecided=True)).state == "filtered"


def test_siblings_are_counted_and_hidden_ones_told() -> None:
    assert "3 rows" in fate(evidence(7, rows=3, shown=3)).detail
    assert "2 of them not shown" in fate(evidence(7, rows=3, shown=1)).detail
    assert "1 more set aside" in fate(evidence(7, rows=2, shown=2, quarantined=["open"])).detail


class Line:
    """A line of stages that move rows in transactions, whose end each topic learns of at a time of its own.

    Row 0 passes, row 1 is filtered, row 2 set aside, and so on.
    """

    def __init__(self, rows: int, chance: random.Random) -> None:
        self.chance = chance
        self.topics: dict[str, list[int]] = {topic: [] for topic in (*TOPICS, "quarantine")}
        self.topics[TOPICS[0]] = list(range(rows))
        self.read = dict.fromkeys((*STAGES, "quarantine_loader"), 0)
        self.deciding: dict[str, list[tuple[str, list[int]]]] = {}
        self.table: set[int] = set()
        self.set_aside: set[int] = set()

    def move(self) -> None:
        """One thing happens somewhere."""
        stage = self.chance.choice((*STAGES, "quarantine_loader"))
        if self.deciding.get(stage):
            topic, rows = self.deciding[stage].pop()
            self.topics[topic] += rows
            return
        topic = "quarantine" if stage == "quarantine_loader" else TOPICS[STAGES.index(stage)]
        taken = self.topics[topic][self.read[stage] :][: self.chance.randint(1, 3)]
        if stage == "loader":
            self.table |= set(taken)
        elif stage == "quarantine_loader":
            self.set_aside |= set(taken)
        else:
            bad = [row for row in taken if stage == "transformer" and row % 3 == 2]
            good = [row for row in taken if stage != "transformer" or row % 3 == 0]
            self.deciding[stage] = [(TOPICS[STAGES.index(stage) + 1], good), ("quarantine", bad)]
            self.chance.shuffle(self.deciding[stage])
        self.read[stage] += len(taken)

    def undecided(self, topic: str) -> bool:
        return any(topic == target for each in self.deciding.values() for target, _ in each)

    def found(self, topic: str, row: int) -> Found:
        rows = self.topics[topic]
        return Found(tuple(at for at, each in enumerate(rows) if each == row), True, any(each > row for each in rows))


def looked_at(line: Line, row: int, moves: Callable[[], None], *, tables_first: bool = False) -> Evidence:
    """The evidence of a row, gathered while the line moves; in the right order, or the wrong one."""

    def tables() -> Iterator[bool]:
        for table in (line.table, line.set_aside):
            yield row in table
            moves()

    early = list(tables()) if tables_first else []
    read = dict(line.read)
    moves()
    undecided = {topic: line.undecided(topic) for topic in line.topics}
    steps = []
    for stage, topic in zip(STAGES, TOPICS, strict=True):
        moves()
        steps.append(Step(stage, topic, line.found(topic, row), read[stage], undecided[topic]))
    loaded, aside = early or list(tables())
    waiting = not aside and row in line.topics["quarantine"][read["quarantine_loader"] :]
    return Evidence(steps, int(loaded), int(loaded), ["open"] if aside else [], waiting, undecided["quarantine"])


def wrong(seed: int, *, tables_first: bool) -> bool:
    """Whether a row is said to have another fate than it has or is still to have."""
    chance = random.Random(seed)
    line = Line(12, chance)
    for _ in range(chance.randint(0, 60)):
        line.move()
    row = chance.randrange(12)

    def moves() -> None:
        for _ in range(chance.randint(0, 12)):
            line.move()

    said = fate(looked_at(line, row, moves, tables_first=tables_first)).state
    return said not in ("in_flight", ("loaded", "filtered", "quarantined")[row % 3])


@given(st.integers(min_value=0, max_value=10**9))
def test_a_moving_line_is_never_told_wrongly(seed: int) -> None:
    assert not wrong(seed, tables_first=False)


def test_looked_at_in_the_wrong_order_it_would_be() -> None:
    """The control of the one above: with the tables before the topics, rows that were just loaded are missing."""
    assert any(wrong(seed, tables_first=True) for seed in range(2000))


def test_coordinates_are_read() -> None:
    assert place_of("0:17") == (Place(0, 17), None)
    assert place_of("12:3:2") == (Place(12, 3), 2)
    for wrong in ("", "0", "0-17", "0:", ":1", "0:1:", "a:b", "-1:2", "0:1 ", f"0:{10**18}"):
        assert place_of(wrong) is None


def test_rows_are_grouped_by_the_record_they_were_made_of() -> None:
    rows = [[0, 5, 0], [1, 2, 0], [0, 5, 1], [0, 9, 0]]
    assert by_place(rows, 2) == {Place(0, 5): [0, 1], Place(1, 2): [0]}


def test_the_books_name_the_transaction_and_where_they_can_the_rule() -> None:
    entry = {"stage": "transformer", "partition": 1, "generation": 1, "from_offset": 10, "to_offset": 20}
    assert stamped(entry, 1, 1, {"transformer": 10}) == stamped(entry, 1, 1, {"transformer": 20}) == "transformer"
    for partition, generation, wanted in (
        (0, 1, {"transformer": 15}),
        (1, 2, {"transformer": 15}),
        (1, 1, {"transformer": 21}),
        (1, 1, {"transformer": 9}),
        (1, 1, {"loader": 15}),
    ):
        assert stamped(entry, partition, generation, wanted) is None
    stamp = Stamp("transformer", 1, 1, "1", "2026-01-01", 10, 20, 5, {"a > 1": 2})
    assert sole_rule([stamp]) == "a > 1"
    assert sole_rule([replace(stamp, filtered={"a > 1": 2, "b": 1})]) is None
    assert sole_rule([replace(stamp, stage="loader")]) is None
    assert sole_rule([stamp], waited=True) is None, "those are of the transaction in which it began to wait"


def test_a_record_that_had_waited_was_dropped_by_what_a_later_version_says() -> None:
    began = [Stamp("transformer", 1, 1, "1", "2026-01-01", 10, 20, 5, {"a > 1": 2})]
    assert likely_rule(began, [None, "b > 1"], waited=True) == ("b > 1", [])
    assert likely_rule(began, ["c", "b"], waited=True) == (None, ["b", "c"])
    assert likely_rule(began, [None, None], waited=True) == (None, []), "never those that dropped its neighbours then"
    assert likely_rule(began, [None]) == (None, ["a > 1"])


def test_a_schema_is_told_by_its_fields() -> None:
    avro = '{"type": "record", "name": "r", "fields": [{"name": "a", "type": ["null", "long"], "default": null}]}'
    assert schema_fields(avro) == [{"name": "a", "type": ["null", "long"]}]
    assert schema_fields('"string"') == schema_fields('syntax = "proto3";') == []


def test_a_record_that_waits_says_for_what_and_how_long() -> None:
    assert fate(evidence(7, 7, parked=PARKED)).detail == (
        "dest 'SJU' is not known to nyc.airports: it waits for that since 2026-01-02T03:04:00+00:00, until "
        "2026-01-02T03:14:00+00:00 (known_dest)"
    )
