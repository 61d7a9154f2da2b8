"""Whatever is done to generations, in whatever order: one is live, no number comes twice, and nothing is lost."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contract import Contract, load
from services.gateway.core.datasets import DatasetVersion, Refusal, propose
from services.gateway.core.folding import Sums
from services.gateway.core.generations import Act, Range, promoted, replayed, retired, rolled_back, stands_against
from services.gateway.core.reach import first_goal, next_goal, reach, reached
from services.gateway.core.secrets import users

AT = datetime(2026, 1, 1, tzinfo=UTC)
NAME = "shop.orders"


def file(number: int = 0, more: str = "") -> Contract:
    return load(
        f"dataset: {NAME}\ndescription: file {number}\nowner: {{team: t}}\nsource: {{type: file, path: a.csv}}\n{more}"
    )


FIRST = DatasetVersion(NAME, 1, 1, "active", file().canonical_json(), AT, "ann")


def act(number: int) -> Act:
    return Act(AT + timedelta(seconds=number), "bea", f"act {number}")


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["apply", "replay", "promote", "rollback", "retire"]), st.integers(1, 6)), max_size=30
)


def done(dataset: DatasetVersion, step: Step, number: int) -> DatasetVersion | Refusal:
    kind, generation = step
    acts: dict[str, Callable[[], DatasetVersion | Refusal]] = {
        "apply": lambda: propose(file(number), {NAME: dataset}).successor(act(number).at, "bea"),
        "replay": lambda: replayed(dataset, file(number), act(number)),
        "promote": lambda: promoted(dataset, generation, act(number)),
        "rollback": lambda: rolled_back(dataset, dataset.generation, act(number)),
        "retire": lambda: retired(dataset, generation, act(number)),
    }
    return acts[kind]()


def numbers(dataset: DatasetVersion) -> list[int]:
    return [dataset.generation, *(each.generation for each in dataset.beside)]


@given(STEPS)
def test_any_order_of_acts_leaves_one_live_and_no_number_twice(steps: list[Step]) -> None:
    dataset, retired_once, made = FIRST, set[int](), {1: {1}}
    for number, step in enumerate(steps, 1):
        found = done(dataset, step, number)
        if isinstance(found, Refusal):
            continue
        assert set(numbers(found)) >= set(numbers(dataset))
        assert len(set(numbers(found))) == len(numbers(found))
        added = set(numbers(found)) - set(numbers(dataset))
        assert added == ({dataset.highest_generation + 1} if step[0] == "replay" else set())
        retired_once |= {each.generation for each in found.beside if each.state == "retired"}
        assert found.generation not in retired_once
        assert retired_once == {each.generation for each in found.beside if each.state == "retired"}
        of_versions = {(found.version, found.generation), *((each.version, each.generation) for each in found.beside)}
        for version, generation in of_versions:
            made.setdefault(version, set()).add(generation)
        dataset = found
    assert all(len(generations) == 1 for generations in made.values()), "a version makes one generation"
    assert all(bool(each.document) != (each.state == "retired") for each in dataset.beside)


@given(STEPS)
def test_doing_it_twice_is_doing_it_once(steps: list[Step]) -> None:
    dataset = FIRST
    for number, step in enumerate(steps, 1):
        found = done(dataset, step, number)
        if isinstance(found, Refusal):
            continue
        dataset = found
        if step[0] in ("promote", "retire"):
            assert done(dataset, step, number + 100) == dataset


@given(STEPS)
def test_what_was_promoted_can_be_gone_back_from(steps: list[Step]) -> None:
    dataset = FIRST
    for number, step in enumerate(steps, 1):
        found = done(dataset, step, number)
        if isinstance(found, Refusal):
            continue
        if step[0] == "promote" and found != dataset:
            back = rolled_back(found, found.generation, act(number + 100))
            assert isinstance(back, DatasetVersion)
            assert (back.generation, back.version, back.document) == (
                dataset.generation,
                dataset.version,
                dataset.document,
            )
        dataset = found


def test_going_back_twice_never_goes_forth() -> None:
    candidate = replayed(FIRST, file(1), act(1))
    live = promoted(candidate, 2, act(2))
    assert isinstance(live, DatasetVersion)
    back = rolled_back(live, 2, act(3))
    assert isinstance(back, DatasetVersion)
    assert back.generation == 1
    again = rolled_back(back, 2, act(4))
    assert isinstance(again, Refusal)
    assert again.code == "changed-meanwhile"
    further = rolled_back(back, 1, act(5))
    assert isinstance(further, Refusal)
    assert further.code == "no-earlier-generation"


def test_what_is_live_is_numbered_whatever_the_clock_says() -> None:
    dataset, seen = FIRST, list[datetime]()
    for number, step in enumerate(
        [("replay", 0), ("promote", 2), ("rollback", 0), ("promote", 2), ("rollback", 0)], start=-9
    ):
        found = done(dataset, step, -number)  # each time the clock is a second behind
        assert isinstance(found, DatasetVersion)
        dataset = found
        seen += [dataset.live_since] if dataset.live_since is not None else []
    assert dataset.generation == 1
    assert seen == sorted(set(seen)), "a loader tells by it which promotion was the last"


def test_whichever_file_goes_live_is_read_on_from_the_snapshot_that_was_read_last() -> None:
    def captured(snapshot: int) -> Contract:
        return load(
            f"dataset: {NAME}\ndescription: snapshot {snapshot}\nowner: {{team: t}}\n"
            f"source: {{type: dataset, dataset: shop.origin, snapshot: {snapshot}}}\n"
        )

    def live(found: DatasetVersion | Refusal) -> DatasetVersion:
        assert isinstance(found, DatasetVersion)
        return found

    first = replace(FIRST, document=captured(1).canonical_json())
    candidate = replayed(first, captured(3), act(1))
    there = live(promoted(candidate, 2, act(2)))
    assert (there.version, there.document) == (2, captured(3).canonical_json()), "a higher one is what was wanted"
    back = live(rolled_back(there, 2, act(3)))
    source = back.contract().source.model_dump()
    assert (back.generation, back.version, source["snapshot"]) == (1, 3, 3)
    assert back.contract().description == "snapshot 1", "and nothing else of it changes"
    forth = live(promoted(back, 2, act(4)))
    assert (forth.version, forth.document) == (2, there.document)


def test_two_replays_at_once_get_two_numbers() -> None:
    """Each is decided on what stands (`SoleWriter`): the second sees the first."""
    both = replayed(replayed(FIRST, file(1), act(1)), file(2), act(2))
    assert [(each.generation, each.version) for each in both.beside] == [(2, 2), (3, 3)]


def test_applying_changes_the_live_one_and_takes_a_version_nobody_has() -> None:
    candidate = replayed(FIRST, file(1), act(1))
    applied = propose(file(2), {NAME: candidate}).successor(AT, "cat")
    assert (applied.generation, applied.version) == (1, 3)
    assert applied.beside == candidate.beside


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ("load: {mode: replace}", "loaded-in-runs"),
        ("partitions: 5", "other-partitions"),
        (
            "key: [id]\nload: {mode: upsert}\nschema: {fields: [{name: id, logicalType: integer, required: true}]}",
            "other-key",
        ),
        ("schema: {fields: [{name: id, logicalType: integer}]}", None),
    ],
)
def test_what_cannot_be_replayed_is_refused(more: str, code: str | None) -> None:
    found = stands_against(file(1, more), file())
    assert (found.code if found else None) == code


def sums(transformer: tuple[int, int], quality: tuple[int, int], loader: int) -> dict[tuple[str, int], Sums]:
    return {
        ("transformer", 0): Sums(rows_in=transformer[0], rows_out=transformer[1]),
        ("quality", 0): Sums(rows_in=quality[0], rows_out=quality[1]),
        ("loader", 0): Sums(rows_in=loader, emitted=loader),
    }


def test_a_generation_has_caught_up_when_all_that_the_live_one_read_is_loaded() -> None:
    live = sums((10, 10), (10, 10), 10)
    assert reach(live, {}).behind == 10
    assert reach(live, sums((7, 6), (5, 5), 2)).behind == 3 + 1 + 3
    assert reach(live, sums((10, 6), (6, 6), 6)).behind == 0
    assert reach(live, sums((12, 6), (6, 6), 6)).behind == 0


def test_it_is_chased_stage_by_stage_though_the_stream_goes_on() -> None:
    goal = first_goal(sums((10, 10), (10, 10), 10))
    mine = sums((11, 11), (9, 9), 9)
    assert reached(goal, mine)
    following = next_goal(goal, mine)
    assert following is not None
    assert not reached(following, mine)
    later = sums((15, 15), (11, 11), 10)  # more is read meanwhile: it need not be waited for
    assert reached(following, later)
    last = next_goal(following, later)
    assert last is not None
    assert not reached(last, later)
    assert reached(last, sums((20, 20), (15, 15), 11))
    assert next_goal(last, later) is None


def test_a_secret_that_only_another_generation_names_is_in_use() -> None:
    hashed = "transform: {sql: \"SELECT keyed_hash(mail) AS mail FROM input\", hash_key: 'secret://hash'}\n"
    candidate = replayed(FIRST, file(1, hashed), act(1))
    assert users([FIRST]) == {}
    assert users([candidate]) == {"hash": [NAME]}
    gone = retired(candidate, 2, act(2))
    assert isinstance(gone, DatasetVersion)
    assert users([gone]) == {}


@pytest.mark.parametrize("ingested", [Range(AT, None), Range(None, AT), Range(AT, AT + timedelta(days=7))])
def test_what_holds_only_a_range_is_never_live(ingested: Range) -> None:
    dataset = replayed(FIRST, file(2), act(1), ingested=ingested)
    refused = promoted(dataset, 2, act(2))
    assert isinstance(refused, Refusal)
    assert refused.code == "only-a-range"
    assert refused.detail.endswith("then replay the file without a range")
    assert isinstance(retired(dataset, 2, act(3)), DatasetVersion)
    whole = promoted(replayed(FIRST, file(2), act(1)), 2, act(2))  # the control
    assert isinstance(whole, DatasetVersion)
    assert whole.generation == 2
