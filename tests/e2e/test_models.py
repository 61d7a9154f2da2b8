"""Models: rows that are made of other datasets in the warehouse, run when those have changed, in the order of what they read."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from headrace.client import ApiError, Run
from tests.full_loads import warehouse
from tests.stack import Platform, eventually

SETTLED_S = 120
DAILY = "SELECT carrier, toDate(flown) AS day, count() AS flights, avg(delay) AS delay FROM {} GROUP BY carrier, day"
WORST = "SELECT day, argMax(carrier, delay) AS carrier, max(delay) AS most FROM {} GROUP BY day"


def flights(first: int, count: int) -> list[dict[str, Any]]:
    """Rows without ties: the answer of an engine is no matter of its order."""
    return [
        {
            "id": number,
            "carrier": f"C{number % 7}",
            "flown": f"2013-01-{number % 9 + 1:02}T10:00:00Z",
            "delay": number % 7 * 100 + number % 9 + 0.5,
        }
        for number in range(first, first + count)
    ]


@dataclass
class Flow:
    """Flights that are pushed, and what is made of them."""

    platform: Platform
    client: Client
    domain: str

    def apply(self, name: str, source: str, more: str = "load: {mode: replace}\n") -> str:
        dataset = f"{self.domain}.{name}"
        head = f"dataset: {dataset}\ndescription: d\nowner: {{team: tests}}\n"
        self.platform.client.datasets.apply(dataset, f"{head}source: {source}\n{more}")
        return dataset

    def model(self, name: str, sql: str, schedule: str = "", more: str = "load: {mode: replace}\n") -> str:
        return self.apply(name, f'{{type: model, sql: "{sql}"{schedule}}}', more)

    def runs(self, dataset: str) -> dict[int, Run]:
        return {run.run: run for run in self.platform.client.runs.list(dataset)}

    def newest(self, dataset: str) -> Run | None:
        return next(iter(self.platform.client.runs.list(dataset)), None)

    def rows(self, dataset: str, columns: str) -> list[tuple[Any, ...]]:
        """Of the view; nothing before there is one."""
        try:
            found = self.client.query(f"SELECT {columns} FROM {dataset} ORDER BY ALL").result_rows
        except ClickHouseError as error:
            if getattr(error, "code", None) not in (60, 81):
                raise
            return []
        return [tuple(row) for row in found]

    def show(self, dataset: str, columns: str, wanted: list[tuple[Any, ...]]) -> None:
        eventually(lambda: self.rows(dataset, columns) == wanted, SETTLED_S, f"{dataset} shows {wanted}")


@pytest.fixture(scope="module")
def flow(platform: Platform) -> Iterator[Flow]:
    with warehouse(platform.stack) as client:
        yield Flow(platform, client, f"models{uuid.uuid4().hex[:10]}")


def of_duckdb(rows: list[dict[str, Any]], sql: str) -> list[tuple[Any, ...]]:
    """What another engine makes of the same rows."""
    with duckdb.connect() as other:
        other.execute("CREATE TABLE t (id BIGINT, carrier VARCHAR, flown TIMESTAMP, delay DOUBLE)")
        other.executemany("INSERT INTO t VALUES ($id, $carrier, $flown, $delay)", rows)
        return other.execute(sql).fetchall()


def shows_run(flow: Flow, dataset: str, number: int) -> None:
    eventually(
        lambda: (run := flow.runs(dataset).get(number)) is not None and run.state == "shown" and run.current,
        SETTLED_S,
        f"run {number} of {dataset} shows",
    )


def test_models_follow_what_they_read_in_order(flow: Flow) -> None:
    """Rows that are on their way when a run becomes due are in it; a model of a model runs after that one."""
    source = flow.apply("flights", "{type: http_push, columns: {flown: timestamp}}", "")
    triggered = ", schedule: {trigger: upstream}"
    daily = flow.model("daily", DAILY.format(f"ref('{source}')"), triggered)
    worst = flow.model("worst", WORST.format(f"ref('{daily}')"), triggered)
    eventually(
        lambda: (run := flow.newest(daily)) is not None and "waits for" in run.message,
        SETTLED_S,
        "a run waits for the first rows, and says so",
    )
    sent = flights(0, 500)
    flow.platform.push(source, sent)
    shows_run(flow, daily, 1)
    shows_run(flow, worst, 1)
    by_day = "SELECT carrier, flown::DATE AS day, count(*) AS flights, avg(delay) AS delay FROM t GROUP BY ALL"
    by_delay = f"SELECT day, arg_max(carrier, delay), max(delay) FROM ({by_day}) GROUP BY ALL ORDER BY ALL"

    def as_of_duckdb() -> bool:
        mine = flow.rows(daily, "carrier, day, flights, delay"), flow.rows(worst, "day, carrier, most")
        return mine == (of_duckdb(sent, f"{by_day} ORDER BY ALL"), of_duckdb(sent, by_delay))

    eventually(as_of_duckdb, SETTLED_S, "both show what another engine makes of the same rows")
    more = [{**row, "delay": row["delay"] + 1000} for row in flights(500, 63)]
    flow.platform.push(source, more)
    sent += more
    eventually(as_of_duckdb, SETTLED_S, "both follow")
    leads_back(flow, source, daily, worst, sent)


def leads_back(flow: Flow, source: str, daily: str, worst: str, sent: list[dict[str, Any]]) -> None:
    """From a row of a model of a model, over the rows that contributed, to the bytes that were pushed."""
    client = flow.platform.client
    [top] = client.rows.passports(worst, "day = '2013-01-02'").items
    [of_daily] = top.contributors
    assert (of_daily.dataset, of_daily.rows, of_daily.error) == (daily, 7, None), of_daily
    mine = next(
        each for each in client.rows.passports(daily, "day = '2013-01-02' AND carrier = 'C1'", contributors=100).items
    )
    assert mine.id in [row.id for row in client.rows.passport(worst, top.id, contributors=20).contributors[0].items]
    [of_flights] = mine.contributors
    wanted = {row["id"] for row in sent if row["carrier"] == "C1" and row["flown"].startswith("2013-01-02")}
    assert (of_flights.dataset, of_flights.rows, of_flights.later, of_flights.notes) == (source, len(wanted), 0, ())
    found = [client.rows.passport(source, row.id).raw.fields or {} for row in of_flights.items[:3]]
    assert {row["id"] for row in found} <= wanted
    assert len(flow.rows(source, "id")) > len(wanted), "the control: there are others"
    assert len(client.query(of_flights.sql, limit=1000).rows) == len(wanted), (
        "the query that is shown gives all of them"
    )
    flow.platform.push(source, [{"id": -1, "carrier": "C1", "flown": "2013-01-02T10:00:00Z", "delay": 0.5}])
    flow.show(source, "countIf(id = -1)", [(1,)])
    again = client.rows.passport(daily, mine.id).contributors[0]
    assert (again.rows, again.later) == (len(wanted), 1), "what came since did not contribute"


def test_a_run_that_fails_leaves_what_showed_and_one_can_be_taken_back(flow: Flow) -> None:
    source = flow.apply("parts", "{type: http_push}", "")
    flow.platform.push(source, [{"id": 1, "of": 1}])
    halves = flow.model("halves", f"SELECT intDiv(10, of) AS half FROM ref('{source}')")
    flow.show(halves, "half", [(10,)])
    flow.platform.push(source, [{"id": 2, "of": 0}])
    flow.platform.client.runs.start(halves)
    eventually(
        lambda: flow.runs(halves)[2].state == "refused" if 2 in flow.runs(halves) else False, SETTLED_S, "it fails"
    )
    assert "ivision by zero" in flow.runs(halves)[2].message
    assert flow.rows(halves, "half") == [(10,)]
    flow.model("halves", f"SELECT intDiv(10, of) AS half FROM ref('{source}') WHERE of <> 0 UNION ALL SELECT 7")
    flow.show(halves, "half", [(7,), (10,)])
    flow.platform.client.runs.rollback(halves)
    flow.show(halves, "half", [(10,)])


def test_a_run_tells_what_it_does_and_can_be_cancelled(flow: Flow) -> None:
    source = flow.apply("empty", "{type: http_push}", "")
    waiting = flow.model("waiting", f"SELECT * FROM ref('{source}')")

    def told() -> list[str]:
        return [event.type for event in flow.platform.client.runs.story(waiting, 1).items]

    eventually(lambda: flow.newest(waiting) is not None, SETTLED_S, "it begins")
    eventually(lambda: told() == ["run_begun", "run_waits"], SETTLED_S, "it waits, and says so")
    flow.platform.client.runs.cancel(waiting)
    eventually(lambda: flow.runs(waiting)[1].state == "cancelled", SETTLED_S, "it is cancelled")
    with pytest.raises(ApiError, match="under way"):
        flow.platform.client.runs.cancel(waiting)
    flow.platform.push(source, [{"id": 1}])
    flow.platform.client.runs.start(waiting)
    shows_run(flow, waiting, 2)
    eventually(lambda: told() == ["run_begun", "run_waits", "run_ended"], SETTLED_S, "its end is told")
    story = flow.platform.client.runs.story(waiting, 2)
    assert [event.type for event in story.items if event.type != "run_waits"] == ["run_begun", "run_read", "run_shown"]
    read, shown = story.items[-2].data, story.items[-1].data
    assert (read["rows"], shown["loaded"]) == (1, 1)
    assert read["size_bytes"] > 0
    assert shown["took_s"] >= read["reading_s"] + read["waited_s"]


def test_an_incremental_model_reads_each_row_once(flow: Flow) -> None:
    source = flow.apply("sent", "{type: http_push}", "")
    window = "_ingested_at >= {since:DateTime64(6, 'UTC')} AND _ingested_at < {until:DateTime64(6, 'UTC')}"
    sql = f"SELECT id, id * 2 AS double FROM ref('{source}') WHERE {window}"
    new = flow.model("new", sql, ", lag_s: 2, schedule: {every: 1s}", "load: {mode: append}\n")
    for first in (0, 50):
        flow.platform.push(source, [{"id": number} for number in range(first, first + 50)])
        flow.show(new, "id, double", [(number, number * 2) for number in range(first + 50)])


def test_partitions_that_changed_are_made_anew_in_runs_and_by_key(flow: Flow) -> None:
    source = flow.apply("sold", "{type: http_push}", "load: {mode: upsert}\nkey: [id]\n")
    sql = f"SELECT day, count() AS n, sum(amount) AS total FROM ref('{source}') GROUP BY day"
    by_day = ", partition: {column: day}, schedule: "
    whole = flow.model("by_day", sql, by_day + "{trigger: upstream}")
    keyed = flow.model("by_day_keyed", sql, by_day + "{every: 1s}", "load: {mode: upsert}\nkey: [day]\n")
    flow.platform.push(source, [{"id": number, "day": number % 3, "amount": 10} for number in range(7)])
    for model in (whole, keyed):
        flow.show(model, "day, n, total", [(0, 3, 30), (1, 2, 20), (2, 2, 20)])
    place = "anyIf((_partition, _offset), day = 1)"
    before = {model: flow.rows(model, place) for model in (whole, keyed)}
    flow.platform.push(source, [{"id": 2, "day": 0, "amount": 1}, {"id": 5, "day": 0, "amount": 1}])
    for model in (whole, keyed):
        flow.show(model, "day, n, total", [(0, 5, 32), (1, 2, 20)])
    assert flow.rows(keyed, place) == before[keyed], "by key, a partition that did not change is left alone"
    assert flow.rows(whole, place) != before[whole], "the control: in a run all rows are published"
    assert flow.rows(whole, "partition_state") == flow.rows(keyed, "partition_state")


def test_a_model_of_what_is_not_there_and_a_circle_are_refused(flow: Flow) -> None:
    with pytest.raises(ApiError, match="nowhere"):
        flow.model("lost", "SELECT * FROM ref('nowhere.nothing')")
    with pytest.raises(ApiError, match="circle1"):
        flow.model("circle1", f"SELECT * FROM ref('{flow.domain}.circle1')")
