"""336,776 real flights go from a file to the warehouse, with the books balanced, and nothing changes that."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.local import programs
from deploy.local import stack as local
from headrace.client import Generation
from headrace.client.results.generation_diffs import DiffPart
from tests.chaos.run import Run
from tests.e2e.flights_replayed import Expected, changed, expected
from tests.full_loads import warehouse
from tests.stack import Platform, eventually

READ, LOADED, QUARANTINED, FILTERED = 336_776, 320_960, 7_561, 8_255
MILES = 332_379_405
#: The flights of unknown airports as the file has them; two of BQN are then sent to SJU, and two to STT.
BY_DEST = {"BQN": 891 - 4, "PSE": 361, "SJU": 5791 + 2, "STT": 518 + 2}
EXAMPLES = Path(__file__).parents[2] / "examples" / "nyc"


def headrace(platform: Platform, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, against the platform under test."""
    settings = platform.stack.settings
    told = {
        f"HEADRACE_STACK_{name.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
        for name, value in settings.model_dump().items()
    }
    command = [str(Path(sys.executable).with_name("headrace")), *arguments]
    return subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, timeout=280)


def demo(platform: Platform) -> dict[str, Any]:
    """Run the demo. Its answer: ledgers, answers, urls."""
    done = headrace(platform, "demo", "-o", "json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def first(platform: Platform) -> dict[str, Any]:
    return demo(platform)


def ledger_of(answer: dict[str, Any], dataset: str) -> dict[str, Any]:
    found: dict[str, Any] = next(ledger for ledger in answer["ledgers"] if ledger["dataset"] == dataset)
    return found


def balanced(books: dict[str, Any]) -> bool:
    """The equation that Headrace is about."""
    spent: int = books["loaded"] + sum(books["filtered"].values()) + sum(books["quarantined"].values())
    return bool(books["read"] == spent + books["in_flight"] and books["residue"] == 0)


def test_every_flight_is_accounted_for(first: dict[str, Any]) -> None:
    books = ledger_of(first, "nyc.flights")
    assert books["read"] == READ
    assert books["loaded"] == LOADED
    assert books["quarantined"] == {"check_references": QUARANTINED}
    assert books["filtered"] == {"dep_time IS NOT NULL": FILTERED}
    assert (books["in_flight"], books["residue"], books["hashes_agree"]) == (0, 0, True)


def test_the_books_balance_in_every_partition_of_every_dataset(first: dict[str, Any]) -> None:
    assert len(first["ledgers"]) == 5
    for books in first["ledgers"]:
        assert balanced(books)
        assert books["hashes_agree"] is True
        assert sum(part["read"] for part in books["partitions"]) == books["read"]
        assert all(balanced(part) for part in books["partitions"])


def test_the_warehouse_holds_what_the_books_say(platform: Platform, first: dict[str, Any]) -> None:
    def ask(sql: str) -> Any:
        return platform.client.query(sql).rows

    [[rows, miles]] = ask("SELECT count(), sum(distance) FROM nyc.flights")
    assert (int(rows), int(miles)) == (LOADED, MILES)
    unknown = ask(
        "SELECT JSONExtractString(assumeNotNull(fields), 'dest') AS d, count() FROM nyc.flights__quarantine "
        "WHERE generation = 1 GROUP BY d"  # a replay sets rows aside, too
    )
    assert {airport for airport, _ in unknown} == {"SJU", "BQN", "PSE", "STT"}
    assert sum(int(count) for _, count in unknown) == QUARANTINED
    expected = {"airlines": 16, "airports": 1458, "planes": 3322, "weather": 26_112}
    assert {table: int(ask(f"SELECT count() FROM nyc.{table}")[0][0]) for table in expected} == expected


def test_three_questions_are_answered(first: dict[str, Any]) -> None:
    assert len(first["answers"]) == 3
    assert all(answer["rows"] for answer in first["answers"].values())


def test_running_the_demo_again_changes_no_number(platform: Platform, first: dict[str, Any]) -> None:
    again = demo(platform)
    assert again["answers"].keys() == first["answers"].keys()
    assert [answer["rows"] for answer in again["answers"].values()] == [
        answer["rows"] for answer in first["answers"].values()
    ]
    for before, after in zip(first["ledgers"], again["ledgers"], strict=True):
        assert {**before, "stages": None} == {**after, "stages": None}


@pytest.mark.parametrize("service", ["ingest", "stager", "transformer", "quality", "loader", "gateway"])
def test_restarting_a_service_afterwards_changes_no_number(
    platform: Platform, first: dict[str, Any], service: str
) -> None:
    local.kill(platform.stack.settings, service)
    local.start_service(platform.stack.settings, service)
    platform.client.datasets.wait_settled("nyc.flights", timeout_s=120)
    assert platform.client.datasets.ledger("nyc.flights").loaded == LOADED
    [[rows, miles]] = platform.client.query("SELECT count(), sum(distance) FROM nyc.flights").rows
    assert (int(str(rows)), int(str(miles))) == (LOADED, MILES)


def test_killing_every_service_in_the_middle_changes_no_number(platform: Platform, first: dict[str, Any]) -> None:
    """The same flights once more, under another name; as they move, every service is killed and started.

    Then the airports that were missing are added, and the flights that were set aside for them are resubmitted.
    """
    again = "nyc.flights_again"
    airports = airports_again(platform)
    document = (EXAMPLES / "flights.yaml").read_text(encoding="utf-8").replace("nyc.airports", airports)
    platform.client.datasets.apply(again, document.replace("dataset: nyc.flights", f"dataset: {again}", 1))
    run = Run(platform, again, "append", READ)
    with ThreadPoolExecutor() as pool:
        for done in [
            pool.submit(kill_at, run, service, 10 * n) for n, service in enumerate(programs.SERVICES, start=1)
        ]:
            done.result()
    books = platform.client.datasets.wait_settled(again, timeout_s=240)
    assert (books.read, books.loaded, books.filtered_rows, books.quarantined_rows) == (
        READ,
        LOADED,
        FILTERED,
        QUARANTINED,
    )
    assert (books.in_flight, books.residue, books.hashes_agree) == (0, 0, True)
    [[rows, miles]] = platform.client.query(f"SELECT count(), sum(distance) FROM {again}").rows
    assert (int(rows), int(miles)) == (LOADED, MILES)
    resubmit(platform, again, airports)


def airports_again(platform: Platform) -> str:
    """The airports under another name, from a file of their own, so that it can grow."""
    name = "nyc.airports_again"
    place = platform.files / "data"
    shutil.copyfile(place / "airports.csv", place / "airports_again.csv")
    document = (
        (EXAMPLES / "airports.yaml").read_text(encoding="utf-8").replace("data/airports.csv", "data/airports_again.csv")
    )
    platform.client.datasets.apply(name, document.replace("dataset: nyc.airports", f"dataset: {name}", 1))
    platform.client.datasets.wait_settled(name, timeout_s=120)
    return name


def resubmit(platform: Platform, dataset: str, airports: str) -> None:
    """All 7,561 flights are loaded once their airports are there: four edited, the others as they are, though ingest is killed
    as soon as some of them move."""
    with (platform.files / "data" / "airports_again.csv").open("a", encoding="utf-8") as file:
        for faa in ("SJU", "BQN", "PSE", "STT"):
            file.write(f"{faa},{faa} Airport,18.4,-66.0,9,-4,N,America/Puerto_Rico\n")
    known = f"SELECT count() FROM {airports} WHERE faa IN ('SJU', 'BQN', 'PSE', 'STT')"
    eventually(lambda: int(platform.client.query(known).rows[0][0]) == 4, 120, "the four airports are there")
    client = platform.client
    edited = edit_some(platform, dataset)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(
            client.quarantine.resubmit, dataset, because="four airports came", reason="check_references"
        )
        eventually(
            lambda: client.datasets.ledger(dataset).resubmitted_rows > len(edited), 120, "some flights are resubmitted"
        )
        local.kill(platform.stack.settings, "ingest")
        local.start_service(platform.stack.settings, "ingest")
        outcome = client.quarantine.wait(dataset, asked.result(), timeout_s=240)
    assert (outcome.resubmitted, outcome.refused) == (QUARANTINED - len(edited), 0)
    books = client.datasets.wait_settled(dataset, timeout_s=240)
    assert (books.read, books.loaded, books.filtered_rows) == (READ, LOADED + QUARANTINED, FILTERED)
    assert (books.quarantined, books.resubmitted) == ({}, {"check_references": QUARANTINED})
    assert books.balanced
    assert all(part.balanced for part in books.partitions)
    [[rows, quarantine_ids]] = client.query(f"SELECT count(), uniqExact(_quarantine_id) FROM {dataset}").rows
    assert (int(rows), int(quarantine_ids)) == (LOADED + QUARANTINED, QUARANTINED)
    assert client.quarantine.get(dataset).total == 0
    names = ", ".join(f"'{row}'" for row in edited)
    loaded = client.query(f"SELECT _quarantine_id, dest FROM {dataset} WHERE _quarantine_id IN ({names})").rows
    assert {str(row): str(dest) for row, dest in loaded} == edited
    by_dest = dict(client.query(f"SELECT dest, count() FROM {dataset} WHERE _quarantine_id != '' GROUP BY dest").rows)
    assert {str(dest): int(str(count)) for dest, count in by_dest.items()} == BY_DEST
    assert {client.quarantine.row(dataset, row).state for row in edited} == {"resubmitted"}


def edit_some(platform: Platform, dataset: str) -> dict[str, str]:
    """Send four flights to BQN to other airports, on the command line. Returns the row -> where it goes now."""
    found = platform.client.quarantine.get(dataset, "check_references", 1000).items
    ids = [row.id for row in found if isinstance(row.fields, dict) and row.fields["dest"] == "BQN"][:4]
    patch = json.dumps([{"op": "replace", "path": "/dest", "value": "STT"}])
    for rows, edit in ((ids[:2], ("--set", "dest=replace(dest, 'BQN', 'SJU')")), (ids[2:], ("--patch", patch))):
        done = headrace(
            platform, "quarantine", "resubmit", dataset, *rows, *edit, "--because", "diverted", "-o", "json"
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["resubmitted"] == 2
    return {row: "SJU" if at < 2 else "STT" for at, row in enumerate(ids)}


def kill_at(run: Run, service: str, share: int) -> None:
    """Kill a service when this share of the flights is loaded, and start it again. Units: percent."""
    eventually(lambda: run.progress("loader") >= LOADED * share // 100, 120, f"{share} % of {run.dataset} are loaded")
    assert run.progress("loader") < LOADED, f"{service} would be killed after its work"
    local.kill(run.platform.stack.settings, service)
    local.start_service(run.platform.stack.settings, service)


def test_another_rule_replayed_over_all_flights_differs_as_duckdb_says(
    platform: Platform, first: dict[str, Any]
) -> None:
    """What differs is computed from the files once more, without Headrace; then readers see one table or the other, whole."""
    client, name = platform.client, "nyc.flights"
    wanted = expected(platform.files / "data")
    document = changed((EXAMPLES / "flights.yaml").read_text(encoding="utf-8"))
    live = client.datasets.get(name).generation
    candidate = client.generations.replay(name, document, "unknown airports are flagged").generation
    eventually(lambda: generation(platform, candidate).caught_up, 240, "the candidate has caught up")
    *_, found = client.generations.diff(name, candidate, sample=5)
    assert found.part == "report", found.message
    compare(found, wanted)
    rows = {live: (wanted["rows_before"], wanted["distance_before"])}
    rows[candidate] = wanted["rows_after"], wanted["distance_after"]
    with polled(platform, name) as seen:
        client.generations.promote(name, candidate, "as wanted")
        eventually(lambda: generation(platform, candidate).shown, 60, "the candidate shows")
        eventually(lambda: rows[candidate] in seen, 30, "it was seen")
        client.generations.rollback(name, candidate, "not as wanted")
        eventually(lambda: generation(platform, live).shown, 60, "the one before shows")
    assert seen == [rows[live], rows[candidate], rows[live]]
    client.generations.retire(name, candidate, "given up")


def generation(platform: Platform, number: int) -> Generation:
    return next(each for each in platform.client.generations.list("nyc.flights") if each.generation == number)


def compare(found: DiffPart, wanted: Expected) -> None:
    assert (found.before.rows, found.after.rows) == (wanted["rows_before"], wanted["rows_after"])
    assert (found.added, found.removed, found.changed) == (wanted["added"], wanted["removed"], wanted["changed"])
    assert {column.column: column.rows for column in found.columns if column.rows} == {
        name: wanted[name] for name in ("speed_mph", "gained_min", "_flags")
    }
    sums = {each.column: (int(each.before), int(each.after)) for each in found.sums if each.exact}
    assert sums["distance"] == (wanted["distance_before"], wanted["distance_after"])
    assert sums["gained_min"] == (wanted["gained_before"], wanted["gained_after"])
    assert found.added_quarantined_before == wanted["added_from_quarantine"]
    assert found.removed_quarantined_after == wanted["removed_by_quarantine"]
    assert sum(cause.before for cause in found.quarantine) == wanted["unknown_before"]
    assert sum(cause.after for cause in found.quarantine) == wanted["late_after"]
    assert sum(rule.before for rule in found.filtered) == wanted["cancelled"]
    assert sum(rule.after for rule in found.filtered) == wanted["cancelled"] + wanted["short"]
    assert {sample.kind for sample in found.samples} == {"added", "removed", "changed"}


@contextmanager
def polled(platform: Platform, table: str) -> Iterator[list[tuple[int, int]]]:
    """Somebody who asks for rows and miles every 10 ms: each answer that differs from the one before."""
    seen: list[tuple[int, int]] = []
    done = threading.Event()

    def ask() -> None:
        with warehouse(platform.stack) as own:
            while not done.wait(0.01):
                [(rows, miles)] = own.query(f"SELECT count(), sum(distance) FROM {table}").result_rows
                if seen[-1:] != [(int(rows), int(miles))]:
                    seen.append((int(rows), int(miles)))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        eventually(lambda: bool(seen), 30, "somebody has asked")
        try:
            yield seen
        finally:
            done.set()
            asking.result(30)
