"""What applying a dataset file would change, and what stands against it."""

from collections.abc import Mapping
from datetime import UTC, datetime

from headrace.contract import load
from services.gateway.core.datasets import DatasetVersion, Proposal, propose

AT = datetime(2026, 1, 2, tzinfo=UTC)
AIRPORTS = """
dataset: nyc.airports
description: Airports.
owner: {team: mobility}
source: {type: file, path: airports.csv}
key: [faa]
"""
FLIGHTS = """
dataset: nyc.flights
description: Flights.
owner: {team: mobility}
source: {type: file, path: flights.csv}
checks:
  - {check: references, column: dest, dataset: nyc.airports, to: faa}
"""


def proposed(text: str, live: Mapping[str, DatasetVersion] | None = None) -> Proposal:
    return propose(load(text), live or {})


def live(*texts: str) -> dict[str, DatasetVersion]:
    versions: dict[str, DatasetVersion] = {}
    for text in texts:
        version = proposed(text, versions).successor(AT, "admin")
        versions[version.name] = version
    return versions


def codes(proposal: Proposal) -> list[str]:
    return [refusal.code for refusal in proposal.refusals]


def test_a_new_dataset_is_version_one() -> None:
    proposal = proposed(AIRPORTS)
    version = proposal.successor(AT, "admin")
    assert (version.version, version.generation, version.state) == (1, 1, "active")
    assert version.contract() == load(AIRPORTS)
    assert codes(proposal) == []


def test_the_live_file_changes_nothing_however_it_is_written() -> None:
    respelt = AIRPORTS.replace("key: [faa]", "key:\n  - faa  # the code")
    proposal = proposed(respelt, live(AIRPORTS))
    assert not proposal.changed
    assert proposal.next_version == 1


def test_a_harmless_change_is_the_next_version_of_the_same_generation() -> None:
    proposal = proposed(AIRPORTS.replace("Airports.", "Airports of the USA."), live(AIRPORTS))
    version = proposal.successor(AT, "somebody")
    assert (version.version, version.generation, version.applied_by) == (2, 1, "somebody")
    assert codes(proposal) == []


def test_a_breaking_change_is_refused() -> None:
    proposal = proposed(AIRPORTS.replace("key: [faa]", "key: [name]"), live(AIRPORTS))
    assert proposal.needs_generation
    assert codes(proposal) == ["breaking-change"]
    assert "key" in proposal.refusals[0].detail


def test_parents_must_be_live_first() -> None:
    assert codes(proposed(FLIGHTS)) == ["unknown-parents"]
    assert "nyc.airports" in proposed(FLIGHTS).refusals[0].detail
    assert codes(proposed(FLIGHTS, live(AIRPORTS))) == []


def test_datasets_that_wait_for_each_other_are_refused() -> None:
    waiting = AIRPORTS.replace(
        "source: {type: file, path: airports.csv}", "source: {type: dataset, dataset: nyc.flights}"
    )
    proposal = proposed(waiting, live(AIRPORTS, FLIGHTS))
    assert "cycle" in codes(proposal)
    (refusal,) = [refusal for refusal in proposal.refusals if refusal.code == "cycle"]
    assert "nyc.airports -> nyc.flights -> nyc.airports" in refusal.detail
    source = ("type: file, path: flights.csv", "type: dataset, dataset: nyc.flights")
    elsewhere = FLIGHTS.replace("nyc.flights", "nyc.delays").replace(*source)
    assert codes(proposed(elsewhere, live(AIRPORTS, FLIGHTS))) == []


def test_rows_of_runs_do_not_branch() -> None:
    branch = AIRPORTS.replace("nyc.airports", "nyc.large").replace(
        "type: file, path: airports.csv", "type: dataset, dataset: nyc.airports"
    )
    assert codes(proposed(branch, live(AIRPORTS))) == []
    assert codes(proposed(branch, live(AIRPORTS + "load: {mode: replace}\n"))) == ["origin-in-runs"]


def test_a_branch_whose_rows_are_as_old_as_in_its_origin_keeps_that_kind_of_source() -> None:
    file = AIRPORTS.replace("nyc.airports", "nyc.large") + "load: {mode: upsert}\n"
    branch = file.replace("type: file, path: airports.csv", "type: dataset, dataset: nyc.airports")
    assert codes(proposed(file, live(AIRPORTS, branch))) == ["ages-of-origin"]
    assert codes(proposed(branch, live(AIRPORTS, file))) == []
    other = branch.replace("dataset: nyc.airports", "dataset: nyc.flights")
    assert codes(proposed(other, live(AIRPORTS, FLIGHTS, branch))) == []
    assert codes(proposed(file.replace("upsert", "append"), live(AIRPORTS, branch.replace("upsert", "append")))) == []


def test_a_dataset_that_is_live_keeps_its_way_of_loading() -> None:
    replaced = AIRPORTS + "load: {mode: replace}\n"
    assert codes(proposed(replaced)) == []
    assert codes(proposed(replaced, live(AIRPORTS))) == ["breaking-change"]


def test_what_is_loaded_in_runs_is_not_sent_to_replay_which_refuses_it() -> None:
    replaced = AIRPORTS + "load: {mode: replace}\n"
    for old, new in ((AIRPORTS, replaced), (replaced, AIRPORTS), (replaced, replaced.replace("[faa]", "[name]"))):
        [refusal] = proposed(new, live(old)).refusals
        assert refusal.code == "breaking-change"
        assert "another name" in refusal.detail
        assert "headrace replay" not in refusal.detail
    [refusal] = proposed(AIRPORTS.replace("key: [faa]", "key: [name]"), live(AIRPORTS)).refusals
    assert "headrace replay" in refusal.detail


def test_every_change_of_a_full_load_is_a_new_run() -> None:
    replaced = AIRPORTS + "load: {mode: replace}\n"
    (change,) = proposed(replaced.replace("Airports.", "All airports."), live(replaced)).changes
    assert "a new run" in change.why
