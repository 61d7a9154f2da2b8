"""Datasets that are loaded in runs: their files, what shows of them, and somebody who looks all the time."""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.local.credentials import WRITER
from headrace.client import Run
from tests.stack import Platform, Stack, eventually

SETTLED_S: Final = 120
_NO_VIEW: Final = (60, 81)  # no table, no database


class State(NamedTuple):
    """What a query of the view gives: rows, the sum of their ids, and the deliveries they are from."""

    rows: int
    sum: int
    deliveries: tuple[int, ...]


def delivered(number: int, rows: int) -> State:
    """What shows of a delivery that is whole."""
    return State(rows, sum(range(number, number + rows)), (number,) if rows else ())


def deliver(file: Path, number: int, rows: int) -> State:
    """Put a delivery in the place of the last one, at once."""
    part = file.with_name(f".{file.name}")
    part.write_text("".join(f"{json.dumps({'id': number + at, 'delivery': number})}\n" for at in range(rows)))
    part.replace(file)
    return delivered(number, rows)


class FullLoad:
    """A dataset over one file."""

    def __init__(self, platform: Platform, *, more: str = "", load: str = "", sql: str = "") -> None:
        self.platform = platform
        self.name = f"full{uuid.uuid4().hex[:10]}.rows"
        self.file = platform.files / f"{self.name}.jsonl"
        self._load, self._more, self._sql = load, more, sql

    def apply(self, description: str = "Deliveries.") -> None:
        """Make it live: its first run begins."""
        sql = f"transform: {{sql: '{self._sql}'}}\n" if self._sql else ""
        document = (
            f"dataset: {self.name}\ndescription: {description}\nowner: {{team: tests}}\n"
            f"source: {{type: file, path: {self.file.name}}}\n{sql}load: {{mode: replace{self._load}}}\n{self._more}"
        )
        self.platform.client.datasets.apply(self.name, document)

    def runs(self) -> dict[int, Run]:
        return {run.run: run for run in self.platform.client.runs.list(self.name)}

    def state_of(self, number: int) -> str:
        found = self.runs().get(number)
        return found.state if found else "none"

    def start(self) -> None:
        self.platform.client.runs.start(self.name)

    def wait_for(self, number: int, state: str = "shown") -> Run:
        eventually(lambda: self.state_of(number) == state, SETTLED_S, f"run {number} of {self.name} is {state}")
        return self.runs()[number]


def warehouse(stack: Stack) -> Client:
    """A connection of one's own."""
    return clickhouse_connect.get_client(
        dsn=stack.warehouse_url,
        username=WRITER,
        password=stack.credentials.warehouse_password.get_secret_value(),
        autogenerate_session_id=False,
    )


def showing(client: Client, dataset: str) -> State | None:
    """What a person sees; None while there is no view."""
    try:
        query = f"SELECT count(), sum(id), arraySort(groupUniqArray(delivery)) FROM {dataset}"
        [(rows, total, deliveries)] = client.query(query).result_rows
    except ClickHouseError as error:
        if getattr(error, "code", None) not in _NO_VIEW:
            raise
        return None
    return State(rows, total or 0, tuple(deliveries))


def shows(client: Client, dataset: str, wanted: State) -> None:
    """Wait until this is what a person sees."""
    eventually(lambda: showing(client, dataset) == wanted, SETTLED_S, f"{dataset} shows {wanted}")


@contextmanager
def watched(stack: Stack, dataset: str) -> Iterator[list[State | None]]:
    """Everything that anybody could see meanwhile, each state once for as long as it shows."""
    stopping = threading.Event()
    seen: list[State | None] = []
    looks = [0]
    failures: list[Exception] = []

    def look() -> None:
        with warehouse(stack) as client:
            while not stopping.is_set():
                try:
                    state = showing(client, dataset)
                except Exception as error:
                    failures.append(error)
                    return
                looks[0] += 1
                if not seen or seen[-1] != state:
                    seen.append(state)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stopping.set()
        thread.join(30)
    assert not failures, failures
    assert looks[0] > 20, "nobody looked"
