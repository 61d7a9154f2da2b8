"""Generations compared in the real engine, against the same comparison in plain Python."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from headrace.contract import Contract, load
from services.gateway.adapters.generations_compared import DiffRefusedError, GenerationDiffs
from services.gateway.adapters.inquiry import Part
from services.gateway.adapters.warehouse import Answer
from services.gateway.adapters.warehouse import Warehouse as Reader
from services.gateway.core import generation_values
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.generation_diff import Side
from services.loader.core.types import literal, quoted
from tests.integration.warehouse.server import PASSWORDS, Warehouse
from tests.unit.gateway.test_datasets import AT

#: type -> what a value can be: as SQL, and as a thing that is equal when the value is.
VALUES: dict[str, list[tuple[str, Any]]] = {
    "Int64": [(str(n), n) for n in (-(2**63), -1, 0, 1, 7, 2**63 - 1)],
    "UInt64": [(str(n), n) for n in (0, 1, 2**64 - 1)],
    "Float64": [("nan", "nan"), ("inf", "inf"), ("0.0", 0.0), ("-0.0", "-0"), ("0.1", 0.1), ("1e22", 1e22)],
    "Float32": [("nan", "nan"), ("0.1", 0.1), ("0.5", 0.5)],
    "Decimal(38, 9)": [
        (f"'{n}'", Decimal(n)) for n in ("0", "1.5", "99999999999999999999999999999.999999999", "-0.000000001")
    ],
    "String": [(literal(t), t) for t in ("", "NULL", "\\N", "a", "A", "it's", "\x00", "ü", "nan", "x" * 500)],
    "FixedString(2)": [("'ab'", "ab"), ("'a'", "a"), ("''", "")],
    "Bool": [("true", True), ("false", False)],
    "Date32": [("'1900-01-01'", 1), ("'2013-01-01'", 2)],
    "DateTime64(6, 'UTC')": [
        ("'1900-01-01 00:00:00.000001'", 1),
        ("'1900-01-01 00:00:00.000002'", 2),
        ("'2099-01-01 00:00:00'", 3),
    ],
    "Time64(6)": [("'10:00:00.000001'", 1), ("'10:00:00'", 2)],
    "UUID": [("'00000000-0000-0000-0000-000000000001'", 1), ("'10000000-0000-0000-0000-000000000000'", 2)],
    "Array(Nullable(Int64))": [
        ("[]", ()),
        ("[NULL]", (None,)),
        ("[1, 2]", (1, 2)),
        ("[1, NULL, 2]", (1, None, 2)),
        ("[12]", (12,)),
    ],
    "Array(Array(String))": [
        ("[]", ()),
        ("[[]]", ((),)),
        ("[['a'], ['b']]", 1),
        ("[['a', 'b']]", 2),
        ("[['a'', ''b']]", 3),
    ],
    "Map(String, Nullable(String))": [
        ("map()", 0),
        ("map('a', NULL)", 1),
        ("map('a', 'NULL')", 2),
        ("map('a', '')", 3),
    ],
    "Tuple(x Nullable(Int64), y String)": [("(1, 'a')", 1), ("(NULL, 'a')", 2), ("(1, '')", 3)],
}
NEVER_NULL = ("Array", "Map", "Tuple")
#: Names that statements of the comparison use, that are SQL, that differ by case, and that need quoting. Those with an underscore
#: in front are reserved, so they are not compared; they must not disturb either.
NAMES = [
    "side", "k0", "K0", "h0", "select", "from", "a`b", "a\\b", "a'b", "count()", "ü ber", "FINAL", "value", "__t", "__m",
    "__h0", "{x}",
]  # fmt: skip

Row = dict[str, Any]


@dataclass
class Given:
    """Rows as the loader would have stored them."""

    types: dict[str, str]
    key: list[str]
    mode: str = "append"
    rows: list[Row] = field(default_factory=list)

    def contract(self, database: str) -> Contract:
        document = f"""
dataset: {database}.things
description: Things.
owner: {{team: tests}}
source: {{type: http_push}}
key: [{", ".join(self.key)}]
load: {{mode: {self.mode}}}
"""
        return load(document)

    def create(self, warehouse: Warehouse, database: str, table: str, batches: int = 3) -> None:
        columns = [f"{quoted(name)} {kind}" for name, kind in self.types.items()]
        columns += ["_partition Int32", "_offset Int64", "_seq Int32", "_flags Array(String)"]
        engine = "MergeTree ORDER BY (_partition, _offset)"
        if self.mode == "upsert":
            columns += ["_row_version UInt64", "_is_deleted UInt8"]
            engine = f"ReplacingMergeTree(_row_version, _is_deleted) ORDER BY ({', '.join(map(quoted, self.key))})"
        settings = " SETTINGS allow_nullable_key = 1"
        warehouse.value(f"CREATE TABLE {database}.{table} ({', '.join(columns)}) ENGINE = {engine}{settings}")
        size = len(self.rows) // batches + 1
        for at in range(0, len(self.rows), size):
            values = ", ".join(self._literal(row) for row in self.rows[at : at + size])
            answer = warehouse.post(
                f"INSERT INTO {database}.{table} SELECT * FROM VALUES({literal(self._structure())}, {values})"
            )
            assert answer.is_success, answer.text

    def _structure(self) -> str:
        more = "_partition Int32, _offset Int64, _seq Int32, _flags Array(String)"
        more += ", _row_version UInt64, _is_deleted UInt8" if self.mode == "upsert" else ""
        return ", ".join([*(f"{quoted(name)} {kind}" for name, kind in self.types.items()), more])

    def _literal(self, row: Row) -> str:
        parts = [row[name][0] for name in self.types]
        parts += [str(row["_partition"]), str(row["_offset"]), str(row["_seq"]), "[]"]
        parts += [str(row["_offset"]), str(int(row["_deleted"]))] if self.mode == "upsert" else []
        return f"({', '.join(parts)})"

    def seen(self) -> list[Row]:
        """What readers see."""
        if self.mode != "upsert":
            return self.rows
        newest: dict[Any, Row] = {}
        for row in sorted(self.rows, key=lambda one: one["_offset"]):
            newest[self.of(row, self.key)] = row
        return [row for row in newest.values() if not row["_deleted"]]

    @staticmethod
    def of(row: Row, names: Iterable[str]) -> tuple[Any, ...]:
        return tuple(row[name][1] if isinstance(row[name], tuple) else row[name] for name in names)


def value(rng: random.Random, kind: str) -> tuple[str, Any]:
    inner = kind.removeprefix("Nullable(").removesuffix(")") if kind.startswith("Nullable(") else kind
    if inner != kind and rng.random() < 0.3:
        return "NULL", None
    return rng.choice(VALUES[inner])


def some_types(rng: random.Random) -> dict[str, str]:
    """A table of every type, under nasty names."""
    names = rng.sample(NAMES, len(VALUES))
    kinds = [kind if kind.startswith(NEVER_NULL) or rng.random() < 0.4 else f"Nullable({kind})" for kind in VALUES]
    return {"id": "Int64", **dict(zip(names, kinds, strict=True))}


def some_rows(rng: random.Random, types: Mapping[str, str], count: int, ids: int) -> list[Row]:
    rows = []
    offsets = Counter[int]()
    for _ in range(count):
        number = rng.randrange(ids)
        partition = number % 2
        offsets[partition] += rng.randrange(1, 3)
        row: Row = {name: value(rng, kind) for name, kind in types.items() if name != "id"}
        row |= {"id": (str(number), number), "_partition": partition, "_offset": offsets[partition], "_seq": 0}
        rows.append(row | {"_deleted": rng.random() < 0.15})
    return rows


def edited(rng: random.Random, types: Mapping[str, str], rows: Iterable[Row], keep: Iterable[str]) -> list[Row]:
    """The same raw records under other rules: some gone, some with other values in a few columns."""
    kept, free = set(keep), [name for name in types if name not in set(keep)]
    found = []
    for row in rows:
        if rng.random() < 0.1:
            continue
        changed = rng.sample(free, min(len(free), rng.randrange(1, 4))) if rng.random() < 0.3 else []
        found.append(row | {name: value(rng, types[name]) for name in changed if name not in kept})
    return found


def expected(before: Given, after: Given, matched: list[str], within: Callable[[Row], bool]) -> dict[str, Any]:
    """What the comparison must find: rows in plain dictionaries, each group of the same match compared as a multiset."""
    compared = [name for name in before.types if name in after.types and name not in matched and name[0] != "_"]
    moving = set()
    if before.mode == after.mode == "upsert":
        moving = {Given.of(row, matched) for side in (before, after) for row in side.rows if not within(row)}
    groups: dict[Any, tuple[list[Row], list[Row]]] = {}
    rows = [0, 0]
    for at, side in enumerate((before, after)):
        for row in side.seen():
            match = Given.of(row, matched)
            if within(row) and match not in moving:
                groups.setdefault(match, ([], []))[at].append(row)
                rows[at] += 1
    totals: Counter[str] = Counter()
    columns: Counter[str] = Counter()
    for mine, theirs in groups.values():
        held = Counter(Given.of(row, compared) for row in mine)
        holds = Counter(Given.of(row, compared) for row in theirs)
        gone, come = list((held - holds).elements()), list((holds - held).elements())
        pairs = min(len(gone), len(come))
        totals.update(changed=pairs, removed=len(gone) - pairs, added=len(come) - pairs)
        for at, name in enumerate(compared):
            mine_held, their_held = Counter(one[at] for one in gone), Counter(one[at] for one in come)
            if pairs and mine_held != their_held and len(mine_held | their_held) > 1:
                columns[name] += pairs
    return {
        "rows": rows,
        "columns": dict(sorted(columns.items())),
        **{kind: totals[kind] for kind in ("added", "removed", "changed")},
    }


@pytest.fixture
def reader(warehouse: Warehouse) -> Reader:
    """The warehouse as the gateway may use it."""
    return Reader(warehouse.url, "reader", PASSWORDS["reader"], 60)


def diffs(reader: Reader, *sides: Side, **more: Any) -> GenerationDiffs:
    known = {side.generation: side for side in sides}
    return GenerationDiffs(reader, lambda _, number: known.get(number), lambda _, number: {"late": number}, 60, **more)


def version(side: Side) -> DatasetVersion:
    return DatasetVersion(side.contract.dataset, side.version, side.generation, "active", "", AT, "ada")


def compared(reader: Reader, before: Side, after: Side, samples: int = 20, **more: Any) -> dict[str, Any]:
    parts = list(
        diffs(reader, before, after, **more).parts(version(before), after.generation, before.generation, samples)
    )
    assert [part.kind for part in parts] == ["progress"] * (len(parts) - 1) + ["report"], parts[-1]
    return parts[-1].body


def found(report: Mapping[str, Any]) -> dict[str, Any]:
    columns = {each["column"]: each["rows"] for each in report["columns"] if each["rows"]}
    rows = [report["before"]["rows"], report["after"]["rows"]]
    return {
        "rows": rows,
        "columns": dict(sorted(columns.items())),
        **{kind: report[kind] for kind in ("added", "removed", "changed")},
    }


def sides(warehouse: Warehouse, database: str, *given: Given, staged: Iterable[str] = ("s", "s")) -> tuple[Side, Side]:
    made = []
    for at, (one, topic) in enumerate(zip(given, staged, strict=True), 1):
        one.create(warehouse, database, f"things__g{at}")
        made.append(Side(database, f"things__g{at}", at, at, one.contract(database), topic))
    return made[0], made[1]


def within(before: Given, after: Given) -> Callable[[Row], bool]:
    """Up to what both tables have rows of."""
    ends: list[dict[int, int]] = []
    for side in (before, after):
        reached: dict[int, int] = {}
        for row in side.rows:
            reached[row["_partition"]] = max(reached.get(row["_partition"], -1), row["_offset"])
        ends.append(reached)
    return lambda row: all(row["_offset"] <= end.get(row["_partition"], -1) for end in ends)


@pytest.mark.parametrize("seed", range(4))
def test_appended_rows_are_matched_by_their_raw_record(
    warehouse: Warehouse, database: str, reader: Reader, seed: int
) -> None:
    rng = random.Random(seed)
    types = some_types(rng)
    before = Given(types, ["id"], rows=some_rows(rng, types, 200, 50))
    after = replace(before, rows=edited(rng, types, before.rows[:180], ["_partition"]))
    report = compared(reader, *sides(warehouse, database, before, after), portion_rows=rng.choice([150, 10**6]))
    assert found(report) == expected(before, after, ["_partition", "_offset", "_seq"], within(before, after))
    assert report["matched_by"] == "identity"
    assert report["changed"]
    assert report["removed"]
    assert report["before"]["left_out"] == sum(not within(before, after)(row) for row in before.rows)


@pytest.mark.parametrize("seed", range(4))
def test_upserted_rows_are_matched_by_key_with_deletes_honoured(
    warehouse: Warehouse, database: str, reader: Reader, seed: int
) -> None:
    rng = random.Random(seed)
    types = some_types(rng)
    rows = some_rows(rng, types, 300, 90)
    before = Given(types, ["id"], "upsert", rows)
    after = replace(before, rows=edited(rng, types, rows[:270], ["id"]))
    report = compared(reader, *sides(warehouse, database, before, after), portion_rows=rng.choice([150, 10**6]))
    assert found(report) == expected(before, after, ["id"], within(before, after))
    assert report["matched_by"] == "key"


@pytest.mark.parametrize("seed", range(4))
def test_keys_that_occur_several_times_do_not_multiply(
    warehouse: Warehouse, database: str, reader: Reader, seed: int
) -> None:
    rng = random.Random(seed)
    types = {"id": "Int64", "k0": "Nullable(Int64)", "side": "Nullable(String)", "v": "Float64"}
    before = Given(types, ["id", "k0"], rows=some_rows(rng, types, 300, 12))
    after = replace(before, rows=edited(rng, types, before.rows, ["id", "k0"]))
    pair = sides(warehouse, database, before, after, staged=("one", "other"))
    report = compared(reader, *pair)
    assert found(report) == expected(before, after, ["id", "k0"], lambda _: True)
    assert report["matched_by"] == "key"


def test_a_side_that_keeps_the_newest_row_of_a_key_loses_the_others(
    warehouse: Warehouse, database: str, reader: Reader
) -> None:
    rng = random.Random(7)
    types = {"id": "Int64", "v": "Int64"}
    before = Given(types, ["id"], rows=some_rows(rng, types, 300, 40))
    after = replace(before, mode="upsert", rows=before.rows)
    pair = sides(warehouse, database, before, after)
    for portion_rows in (100, 10**6):
        report = compared(reader, *pair, portion_rows=portion_rows)
        assert found(report) == expected(before, after, ["_partition", "_offset", "_seq"], lambda _: True)


@pytest.mark.parametrize(
    ("kinds", "same", "other", "by"),
    [
        (("Int32", "Nullable(Int64)"), ("7", "7"), ("7", "8"), "number"),
        (("Int64", "Decimal(18, 2)"), ("7", "7"), ("7", "7.01"), "number"),
        (("Decimal(9, 3)", "Decimal(18, 2)"), ("'1.500'", "'1.5'"), ("'1.501'", "'1.5'"), "number"),
        (("Float32", "Float64"), ("0.5", "0.5"), ("0.1", "0.1"), "float"),
        (("Int64", "Float64"), ("7", "7"), ("7", "7.5"), "float"),
        (("DateTime64(3, 'UTC')", "DateTime64(6, 'UTC')"), ("'2013-01-01 00:00:00.5'",) * 2,
         ("'2013-01-01 00:00:00.5'", "'2013-01-01 00:00:00.500001'"), "moment"),
        (("String", "Nullable(Int64)"), ("'7'", "7"), ("'07'", "7"), "text"),
        (("Array(Int64)", "Array(Nullable(Int64))"), ("[1]", "[1]"), ("[1]", "[NULL]"), "text"),
        (("Nullable(String)", "Nullable(UUID)"), ("NULL", "NULL"), ("''", "NULL"), "text"),
    ],
)  # fmt: skip
def test_a_column_of_another_type_is_compared_by_what_its_values_are_worth(
    warehouse: Warehouse, database: str, reader: Reader,
    kinds: tuple[str, str], same: tuple[str, str], other: tuple[str, str], by: str,
) -> None:  # fmt: skip
    place: Row = {"_partition": 0, "_seq": 0, "id": ("1", 1)}
    given = [
        Given({"id": "Int64", "side": kind}, ["id"], rows=[
            {**place, "_offset": 1, "side": (same[at], 1)}, {**place, "_offset": 2, "side": (other[at], 1)},
        ])
        for at, kind in enumerate(kinds)
    ]  # fmt: skip
    report = compared(reader, *sides(warehouse, database, *given))
    [column] = [each for each in report["columns"] if each["column"] == "side"]
    assert (column["rows"], report["changed"], column["compared_by"]) == (1, 1, by)
    assert (column["type_before"], column["type_after"]) == kinds
    [one] = report["samples"]
    assert one["raw_after"] == "0:2"


def test_what_is_null_is_missed_by_a_comparison_that_is_not_null_safe(
    warehouse: Warehouse, database: str, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: as SQL's own equality has it, a value that became NULL is no change."""
    place: Row = {"_partition": 0, "_seq": 0, "id": ("1", 1)}
    before, after = (
        Given({"id": "Int64", "side": "Nullable(Int64)"}, ["id"], rows=[{**place, "_offset": 1, "side": (text, text)}])
        for text in ("0", "NULL")
    )
    pair = sides(warehouse, database, before, after)
    assert compared(reader, *pair)["changed"] == 1
    monkeypatch.setattr(generation_values, "_NULL_HASH", "xxh3(toInt64(0))")
    assert compared(reader, *pair)["changed"] == 0


def test_sums_are_exact(warehouse: Warehouse, database: str, reader: Reader) -> None:
    types = {"id": "Int64", "u": "UInt64", "d": "Nullable(Decimal(38, 9))", "f": "Float64"}
    big = "99999999999999999999999999999.999999999"
    rows: list[Row] = [
        {"id": ("9223372036854775807", at), "u": ("18446744073709551615", 1), "d": (f"'{big}'" if at else "NULL", 1),
         "f": (("0.5", "nan", "inf")[at % 3], 1), "_partition": 0, "_offset": at, "_seq": 0}
        for at in range(300)
    ]  # fmt: skip
    given = Given(types, [], rows=rows)
    report = compared(reader, *sides(warehouse, database, given, replace(given, rows=rows[:-1])))
    sums = {each["column"]: (each["before"], each["after"], each["exact"]) for each in report["sums"]}
    assert report["before"]["rows"] == 299  # up to what both have
    assert sums["id"] == (str((2**63 - 1) * 299),) * 2 + (True,)
    assert sums["u"] == (str((2**64 - 1) * 299),) * 2 + (True,)
    assert Decimal(sums["d"][0]) == sum([int(big.replace(".", ""))] * 298) / Decimal(10**9) or sums["d"][0] == _times(
        big, 298
    )
    assert sums["d"][0] == _times(big, 298)
    assert sums["f"] == ("50", "50", False)


def _times(number: str, count: int) -> str:
    digits = str(int(number.replace(".", "")) * count)
    return f"{digits[:-9]}.{digits[-9:]}".rstrip("0")


def test_rows_that_were_set_aside_explain_what_is_gone(warehouse: Warehouse, database: str, reader: Reader) -> None:
    types = {"id": "Int64", "v": "String"}
    rows: list[Row] = [
        {"id": (str(at), at), "v": (literal("x" * at), at), "_partition": 0, "_offset": at, "_seq": 0}
        for at in range(10)
    ]
    given = Given(types, ["id"], rows=rows)
    before, after = sides(warehouse, database, given, replace(given, rows=rows[:4]))
    warehouse.value(
        f"CREATE TABLE {database}.things__quarantine (generation Int32, stage String, reason String, rule Nullable(String), "
        "`column` Nullable(String), `partition` Int32, raw_offset Nullable(Int64), act Nullable(String)) "
        "ENGINE = MergeTree ORDER BY ()"
    )
    warehouse.value(
        f"INSERT INTO {database}.things__quarantine VALUES (2, 'transformer', 'check_range', 'short', 'v', 0, 5, 'quarantined'), "
        "(2, 'transformer', 'check_range', 'short', 'v', 0, 8, NULL), "
        "(1, 'quality', 'check_unique', NULL, NULL, 0, 20, 'quarantined'), "
        "(1, 'ingest', 'undecodable', NULL, NULL, 0, 3, 'quarantined'), "
        "(2, 'transformer', 'check_range', 'short', 'v', 0, 6, 'discarded')"
    )
    report = compared(reader, before, after)
    assert report["upto"] == [{"partition": 0, "offset": 8, "reached_before": 20, "reached_after": 8}]
    assert (report["removed"], report["removed_quarantined_after"], report["before"]["left_out"]) == (5, 2, 1)
    cause = {"stage": "transformer", "reason": "check_range", "rule": "short", "column": "v", "before": 0, "after": 2}
    assert report["quarantine"] == [cause]
    assert report["filtered"] == [{"rule": "late", "before": 1, "after": 2}]
    # Where it is known that all of it went through, nothing is left out.
    before, after = (replace(side, reached={0: 30}) for side in (before, after))
    assert compared(reader, before, after)["removed"] == 6


def test_samples_show_both_values_and_cut_long_ones(warehouse: Warehouse, database: str, reader: Reader) -> None:
    types = {"id": "Int64", "side": "Nullable(String)", "k0": "Int64"}
    rows: list[Row] = [
        {"id": (str(at), at), "side": ("NULL", None), "k0": ("1", 1), "_partition": 0, "_offset": at, "_seq": 0}
        for at in range(30)
    ]
    other = [row | {"side": (literal("y" * 1000), "y")} for row in rows[:-2]] + rows[-1:]
    given = Given(types, ["id"], rows=rows)
    report = compared(reader, *sides(warehouse, database, given, replace(given, rows=other)), samples=5)
    assert Counter(one["kind"] for one in report["samples"]) == {"changed": 5, "removed": 1}
    [gone] = [one for one in report["samples"] if one["kind"] == "removed"]
    assert gone["key"] == {"_partition": "0", "_offset": "28", "_seq": "0", "id": "28"}
    assert {each["column"]: each["before"] for each in gone["columns"]} == {
        "id": "28",
        "side": None,
        "k0": "1",
        "_flags": "[]",
    }
    changed = next(one for one in report["samples"] if one["kind"] == "changed")
    assert changed["columns"] == [{"column": "side", "before": None, "after": "y" * 200 + "…"}]
    assert compared(reader, *_again(database, given), samples=0)["samples"] == []


def _again(database: str, given: Given) -> tuple[Side, Side]:
    one, other = (Side(database, f"things__g{at}", at, at, given.contract(database), "s") for at in (1, 2))
    return one, other


class Counting(Reader):
    """Remembers what was asked."""

    def __init__(self, warehouse: Warehouse) -> None:
        super().__init__(warehouse.url, "reader", PASSWORDS["reader"], 60)
        self.asked: list[str] = []

    def query(self, sql: str, *args: Any, **more: Any) -> Answer:
        self.asked.append(sql)
        return super().query(sql, *args, **more)


def rows_read(warehouse: Warehouse, queries: Iterable[str]) -> int:
    total = 0
    for sql in queries:
        answer = warehouse.post(f"{sql} FORMAT JSONCompact")
        total += answer.json()["statistics"]["rows_read"]
    return total


def test_what_is_read_grows_no_faster_than_the_rows(
    warehouse: Warehouse, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row differs, in portions far smaller than the tables."""

    def read(count: int) -> float:
        for at in (1, 2):
            warehouse.value(f"DROP TABLE IF EXISTS {database}.things__g{at}")
            warehouse.value(
                f"CREATE TABLE {database}.things__g{at} (id Int64, v Int64, _partition Int32, _offset Int64, _seq Int32) "
                "ENGINE = MergeTree ORDER BY id"
            )
            warehouse.value(
                f"INSERT INTO {database}.things__g{at} SELECT number, {at}, 0, number, 0 FROM numbers({count})"
            )
        reader = Counting(warehouse)
        report = compared(reader, *_again(database, Given({}, ["id"])), portion_rows=1000)
        assert report["changed"] == count
        return rows_read(warehouse, reader.asked) / count

    monkeypatch.setattr("services.gateway.core.generation_queries.MOST_PORTIONS", 4)
    small, large = read(2_000), read(6_000)
    assert large < small * 1.1
    monkeypatch.setattr("services.gateway.core.generation_queries.MOST_PORTIONS", 1000)  # the negative control
    assert read(6_000) > 2 * small


def test_one_comparison_of_a_dataset_runs_at_a_time_and_who_hangs_up_ends_it(
    warehouse: Warehouse, database: str, reader: Reader
) -> None:
    given = Given({"id": "Int64"}, ["id"], rows=some_rows(random.Random(1), {"id": "Int64"}, 20, 20))
    before, after = sides(warehouse, database, given, given)
    desk = diffs(reader, before, after)
    running = desk.parts(version(before), 2, 1, 5)
    next(running)
    with pytest.raises(DiffRefusedError) as refused:
        next(desk.parts(version(before), 2, 1, 5))
    assert refused.value.code == "diff-running"
    running.close()  # type: ignore[attr-defined]
    assert list(desk.parts(version(before), 2, 1, 5))[-1].kind == "report"


def test_what_cannot_be_compared_is_said(warehouse: Warehouse, database: str, reader: Reader) -> None:
    given = Given({"id": "Int64"}, [], rows=some_rows(random.Random(1), {"id": "Int64"}, 20, 20))
    before, after = sides(warehouse, database, given, given)

    def code(*known: Side, generation: int = 2, **more: Any) -> str:
        desk = diffs(reader, *known, **more)
        try:
            parts = list(desk.parts(version(before), generation, 1, 5))
        except DiffRefusedError as error:
            return error.code
        return str(parts[-1].body.get("code"))

    assert code(before, after, generation=3) == "no-such-generation"
    assert code(before, after, generation=1) == "same-generation"
    assert code(before, replace(after, table="nothing")) == "nothing-loaded"
    assert code(before, replace(after, staged="another")) == "no-match"
    late = GenerationDiffs(reader, lambda _, number: {1: before, 2: after}[number], lambda *_: {}, -1.0)
    with pytest.raises(DiffRefusedError) as refused:
        list[Part](late.parts(version(before), 2, 1, 5))
    assert refused.value.code == "diff-too-long"
    assert "HEADRACE_DIFF_TIMEOUT_S" in str(refused.value)
