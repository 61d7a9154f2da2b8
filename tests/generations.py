"""Datasets with several generations: their files, what a reader of the view gets, and somebody who looks all the time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from headrace.client import Generation
from tests.full_loads import warehouse
from tests.stack import Platform, Stack, eventually

DOCUMENT = """\
dataset: {name}
description: orders
owner: {{team: tests}}
source: {{type: http_push}}
key: [id]
load: {{mode: upsert}}
partitions: 2
{more}
"""
BEFORE = """\
transform: {sql: 'SELECT id, amount FROM input'}
schema: {fields: [{name: id, logicalType: integer, required: true}, {name: amount, logicalType: integer}]}
checks: [{check: between, column: id, max: 9000}]
"""
#: Another rule, another type, and rows that are set aside: a breaking change.
AFTER = """\
transform: {sql: "SELECT id, concat('CHF ', amount * 2) AS amount FROM input WHERE id % 10 <> 0"}
schema: {fields: [{name: id, logicalType: integer, required: true}, {name: amount, logicalType: string}]}
checks: [{check: between, column: id, max: 9000}]
"""
ROWS = 2000


class Seen(NamedTuple):
    """What a reader gets: rows, distinct kinds of amount (text or number), and the type of the column."""

    rows: int
    texts: int
    type: str


def looked(client: Client, name: str) -> Seen | None:
    """What a reader sees at this moment; None where there is no view."""
    asked = f"SELECT count(), countIf(startsWith(toString(amount), 'CHF')), any(toTypeName(assumeNotNull(amount))) FROM {name}"
    try:
        [found] = client.query(asked).result_rows
    except ClickHouseError:
        return None
    return Seen(*found)


@contextmanager
def reading(stack: Stack, name: str) -> Iterator[list[Seen | None]]:
    """Somebody who looks every 10 ms; gives each answer that differs from the one before."""
    seen: list[Seen | None] = []
    done = threading.Event()

    def look() -> None:
        with warehouse(stack) as own:
            while not done.wait(0.01):
                found = looked(own, name)
                if not seen or seen[-1] != found:
                    seen.append(found)

    reader = threading.Thread(target=look, daemon=True)
    reader.start()
    try:
        eventually(lambda: bool(seen), 30, "the reader has looked")
        yield seen
    finally:
        done.set()
        reader.join(30)


def rows(first: int, count: int) -> list[dict[str, int]]:
    return [{"id": number, "amount": number % 7} for number in range(first, first + count)]


def generation(platform: Platform, name: str, number: int) -> Generation:
    return next(each for each in platform.client.generations.list(name) if each.generation == number)


def caught_up(platform: Platform, name: str, number: int) -> None:
    eventually(lambda: generation(platform, name, number).caught_up, 120, f"generation {number} has caught up")


def shows(platform: Platform, name: str, number: int) -> None:
    eventually(lambda: generation(platform, name, number).shown, 60, f"the view shows generation {number}")


def before(count: int) -> Seen:
    return Seen(count, 0, "Int64")


def after(count: int) -> Seen:
    return Seen(count, count, "String")
