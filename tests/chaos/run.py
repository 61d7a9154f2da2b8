"""A run under a fault: a source of known rows, what must become of each, and what became of them instead."""

import csv
import hashlib
import json
import os
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import clickhouse_connect
from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from pyiceberg.exceptions import NoSuchTableError

from headrace.client import Client, Ledger
from headrace.stream import columns, topics
from headrace.stream.kafka import Connection
from headrace.stream.lake import lake_catalog
from services.stager.settings import StagerSettings
from tests.stack import Platform, eventually

LONG: Final = bool(os.environ.get("HEADRACE_TEST_LONG"))
ROWS: Final = 200_000 if LONG else 30_000
SHARES: Final = (10, 50, 90) if LONG else (50,)
OUTAGE_S: Final = 60 if LONG else 15
SETTLED_S: Final = 240
_REPLY_S: Final = 10.0

Mode = Literal["append", "upsert"]

_PARTITIONS: Final = 4
_DEVICES: Final = 997
_LIMIT: Final = 900
_FILTER: Final = "amount >= 0"
_MASK: Final = (1 << 64) - 1

#: The text whose hash stands for a row, as ClickHouse makes it; `Row.text` is the same in Python.
_TEXT: Final = (
    "concat(toString(id), '|', device, '|', toString(seq), '|', toString(toInt64(assumeNotNull(amount) * 4)), '|', "
    "assumeNotNull(note), '|', toString(toUnixTimestamp(assumeNotNull(at))))"
)


class Row(NamedTuple):
    """A row of the source. `seq` counts the rows of its device."""

    id: int
    device: str
    seq: int
    amount: float
    note: str
    at: str

    @property
    def text(self) -> str:
        at_s = int(datetime.fromisoformat(self.at).timestamp())
        return f"{self.id}|{self.device}|{self.seq}|{int(self.amount * 4)}|{self.note}|{at_s}"

    @property
    def hash(self) -> int:
        return int.from_bytes(hashlib.md5(self.text.encode()).digest()[:8], "little")

    @property
    def fate(self) -> Literal["loaded", "filtered", "quarantined"]:
        if self.amount < 0:
            return "filtered"
        return "quarantined" if self.amount > _LIMIT else "loaded"


def source_rows(count: int) -> Iterator[Row]:
    """Rows in a fixed mix: about one in twenty filtered, one in fifty quarantined."""
    seen: Counter[str] = Counter()
    for number in range(count):
        device = f"d{number * 7919 % _DEVICES}"
        amount = -1.25 if number % 19 == 3 else 1000.5 if number % 53 == 7 else number * 31 % 3600 / 4
        note = f'"{number}", Zähler, 数 {number % 11}'
        at = datetime.fromtimestamp(1_700_000_000 + number, UTC).isoformat()
        yield Row(number, device, seen[device], amount, note, at)
        seen[device] += 1


@dataclass(frozen=True, slots=True)
class Seen:
    """The published rows, and what the books say of the rest."""

    rows: int
    different: int
    value_hash: int
    filtered: int
    quarantined: int


@dataclass(frozen=True)
class Run:
    """One dataset, read from a file of `rows` rows."""

    platform: Platform
    dataset: str
    mode: Mode
    rows: int

    @property
    def client(self) -> Client:
        return self.platform.client

    @cached_property
    def expected(self) -> Seen:
        """What the source alone says must come out."""
        rows = list(source_rows(self.rows))
        fates = Counter(row.fate for row in rows)
        published = [row for row in rows if row.fate == "loaded"]
        if self.mode == "upsert":
            published = list({row.device: row for row in published}.values())
        value_hash = sum(row.hash for row in published) & _MASK
        return Seen(len(published), len(published), value_hash, fates["filtered"], fates["quarantined"])

    @property
    def folder(self) -> Path:
        """Where the files of the source are."""
        return self.platform.files / "chaos" / self.dataset

    def write(self, start: int, end: int) -> None:
        """Add a file with the rows between two shares of the source. Units: percent."""
        self.folder.mkdir(parents=True, exist_ok=True)
        whole = self.folder / f"{start:03}.csv"
        partial = whole.with_suffix(".partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(Row._fields)
            writer.writerows(islice(source_rows(self.rows), self.rows * start // 100, self.rows * end // 100))
        partial.rename(whole)

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient(Connection(self.platform.stack.bootstrap_servers).client())

    def progress(self, stage: str) -> int:
        """How many records a stage has taken in, or a few more: transaction markers take offsets, too. -1 if Kafka is away."""
        try:
            return self._written() if stage == "ingest" else self._committed(stage)
        except (KafkaException, TimeoutError):
            return -1

    def _written(self) -> int:
        latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        raw = {TopicPartition(topics.raw(self.dataset), number): latest for number in range(_PARTITIONS)}
        return sum(future.result(_REPLY_S).offset for future in self._admin.list_offsets(raw).values())

    def _committed(self, stage: str) -> int:
        group = topics.group(stage, self.dataset, 1)
        asked = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group]
        return sum(max(at.offset, 0) for at in asked.result(_REPLY_S).topic_partitions)

    def members(self, stage: str) -> int:
        """How many instances of a stage share its partitions; 0 while they are being handed out."""
        group = topics.group(stage, self.dataset, 1)
        found = self._admin.describe_consumer_groups([group])[group].result(_REPLY_S)
        return len(found.members) if found.state == ConsumerGroupState.STABLE else 0

    def wait_for(self, stage: str, share: int) -> None:
        """Wait until a stage has taken in this share of what it will. Units: percent."""
        wanted = self.input_of(stage) * share // 100
        eventually(lambda: self.progress(stage) >= wanted, SETTLED_S, f"{stage} takes in {wanted} rows")

    def input_of(self, stage: str) -> int:
        """How many rows a stage takes in altogether."""
        filtered = self.expected.filtered + self.expected.quarantined if stage in ("quality", "loader") else 0
        return self.rows - filtered

    def settle(self, deadline_s: float = SETTLED_S) -> Ledger:
        """Wait until every row has met its fate."""
        return self.client.datasets.wait_settled(self.dataset, timeout_s=deadline_s, poll_s=0.3)

    def faults(self, ledger: Ledger) -> list[str]:
        """Everything that is not as it must be; nothing when no row was lost, doubled, changed or overtaken."""
        found, expected = self.seen(ledger), self.expected
        faults = [
            f"{name}: {getattr(found, name)} instead of {getattr(expected, name)}"
            for name in Seen.__slots__
            if getattr(found, name) != getattr(expected, name)
        ]
        if ledger.read != self.rows or not ledger.balanced or not ledger.hashes_agree or ledger.in_flight:
            faults.append(f"the books do not balance: {ledger}")
        if set(ledger.filtered) - {_FILTER} or set(ledger.quarantined) - {"check_between"}:
            faults.append(f"other fates than expected: {ledger.filtered}, {ledger.quarantined}")
        return faults + self._quarantine_faults() + self._order_faults() + self._lake_faults()

    def seen(self, ledger: Ledger) -> Seen:
        """What has been published, and what the books say of the rest."""
        hashed = f"sum(reinterpretAsUInt64(substring(MD5({_TEXT}), 1, 8)))"
        [[rows, different, value_hash]] = self._ask(f"SELECT count(), uniqExact(id), {hashed} FROM {self.dataset}")
        return Seen(rows, different, value_hash, ledger.filtered_rows, ledger.quarantined_rows)

    def _quarantine_faults(self) -> list[str]:
        """The quarantine's table holds each row that was set aside once."""
        sql = f"SELECT count(), uniqExact(raw_offset, partition) FROM {self.dataset}__quarantine"
        [[rows, different]] = self._ask(sql)
        wanted = self.expected.quarantined
        return (
            [] if rows == different == wanted else [f"quarantine holds {rows} rows ({different}) instead of {wanted}"]
        )

    def _order_faults(self) -> list[str]:
        """Of each device the rows stand in one partition, in the source's order: in raw, and in the loader's topic."""
        if self.mode == "upsert":
            return []  # the value hash tells: the row that is shown is the device's last
        by_device = (
            "SELECT uniqExact(_partition, _load_partition) AS partitions, groupArray(seq) AS seqs, "
            "arrayMap(t -> t.2, arraySort(groupArray((_offset, seq)))) AS in_raw, "
            "arrayMap(t -> t.2, arraySort(groupArray((_load_offset, seq)))) AS in_validated "
            f"FROM {self.dataset}__g1 GROUP BY device"
        )
        wrong = "partitions != 1 OR in_raw != arraySort(seqs) OR in_validated != arraySort(seqs)"
        [[count]] = self._ask(f"SELECT countIf({wrong}) FROM ({by_device})")
        return [f"{count} devices have rows out of order"] if count else []

    def _lake_faults(self) -> list[str]:
        """The lake holds each raw record once, when the landing that is a little behind has come."""
        found: list[tuple[int, int]] = []

        def landed() -> bool:
            found[:] = self._landed()
            return len(found) >= self.rows

        try:
            eventually(landed, SETTLED_S, "every record has landed")
        except AssertionError as error:
            return [f"{error}: {len(found)} of {self.rows}"]
        different = len(set(found))
        return [] if len(found) == different == self.rows else [f"{len(found)} records landed ({different} different)"]

    def _landed(self) -> list[tuple[int, int]]:
        """The coordinates of every record in the lake."""
        lake = lake_catalog(StagerSettings(data_dir=self.platform.stack.settings.home))
        try:
            table = lake.load_table(f"{self.dataset}__raw")
        except NoSuchTableError:
            return []
        rows = table.scan(selected_fields=(columns.PARTITION, columns.OFFSET)).to_arrow()
        return list(zip(*(rows.column(name).to_pylist() for name in (columns.PARTITION, columns.OFFSET)), strict=True))

    def _ask(self, sql: str) -> Sequence[Sequence[int]]:
        stack = self.platform.stack
        password = stack.credentials.warehouse_password.get_secret_value()
        with clickhouse_connect.get_client(dsn=stack.warehouse_url, username="headrace", password=password) as client:
            rows: Sequence[Sequence[int]] = client.query(sql).result_rows
        return rows


def begin(platform: Platform, mode: Mode = "append", rows: int = ROWS, share: int = 100) -> Run:
    """Write the source, or a first share of it, and apply its dataset: from now on rows are on their way. Units: percent."""
    run = Run(platform, f"chaos.{name_of_run(mode)}", mode, rows)
    run.write(0, share)
    source = {"type": "file", "path": f"{run.folder.relative_to(platform.files)}/*.csv"}
    platform.client.datasets.apply(run.dataset, _document(run.dataset, mode, source))
    return run


def begin_from(platform: Platform, name: str, source: Mapping[str, Any], rows: int) -> Run:
    """Apply a dataset whose rows are those of `source_rows`, wherever they are."""
    run = Run(platform, f"chaos.{name}", "append", rows)
    platform.client.datasets.apply(run.dataset, _document(run.dataset, run.mode, source))
    return run


def name_of_run(kind: str = "run") -> str:
    """A name that nobody else uses."""
    return f"{kind}_{uuid.uuid4().hex[:8]}"


def _document(name: str, mode: Mode, source: Mapping[str, Any]) -> str:
    return f"""
dataset: {name}
description: Readings of devices, each with its number among those of its device.
owner: {{team: Tests}}
source: {json.dumps(source)}
key: [device]
transform:
  sql: SELECT id, device, seq, amount, note, at FROM input WHERE {_FILTER}
checks:
  - {{check: between, column: amount, max: {_LIMIT}}}
load: {{mode: {mode}}}
partitions: {_PARTITIONS}
"""
