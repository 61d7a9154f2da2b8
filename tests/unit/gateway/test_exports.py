"""What an export holds, and how its values are written."""

import csv
import io
import json
import re
from collections.abc import Generator

import chdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.access.policy import Sight
from services.gateway.adapters.export_bytes import encoded, plain_arrow
from services.gateway.adapters.warehouse import QueryError, unbroken
from services.gateway.core.export_jobs import BadRangeError, RowCount, byte_range
from services.gateway.core.exports import (
    FORMATS,
    NoSuchColumnError,
    Plan,
    Table,
    Wanted,
    chosen,
    csv_header,
    neutral,
    plan,
)
from services.gateway.core.visible import visible
from tests.unit.gateway.spreadsheets import RUN_BY_SPREADSHEETS, original

TABLE = Table("`a`.`b`", {"id": "Int64", "text": "Nullable(String)", "parts": "Array(String)", "_offset": "Int64"})

texts = st.one_of(st.text(), st.builds("{}{}".format, st.text("'=+-@\t\r\n", max_size=4), st.text()))


@given(texts)
def test_no_text_runs_and_every_text_comes_back(text: str) -> None:
    assert original(neutral(text)) == text
    assert not neutral(text).startswith(RUN_BY_SPREADSHEETS)


@given(texts, texts)
def test_two_texts_stay_two(one: str, other: str) -> None:
    assert (neutral(one) == neutral(other)) == (one == other)


def test_a_plain_apostrophe_before_formulas_alone_would_make_two_texts_one() -> None:
    """The control: without marking texts that already have an apostrophe, the way back is ambiguous."""

    def naive(text: str) -> str:
        return f"'{text}" if text.startswith(RUN_BY_SPREADSHEETS) else text

    assert naive("=1") == naive("'=1")
    assert neutral("=1") != neutral("'=1")


@given(st.lists(st.tuples(st.integers(), texts), max_size=20), st.integers(1, 7))
def test_rows_of_a_csv_file_are_counted_however_it_is_cut(rows: list[tuple[int, str]], size: int) -> None:
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerows([("id", "text"), *((number, neutral(text)) for number, text in rows)])
    content = file.getvalue().encode("utf-8", "surrogatepass")
    count = RowCount("csv")
    for at in range(0, len(content), size):
        count.add(content[at : at + size])
    assert count.rows == len(rows)
    found = list(csv.reader(io.StringIO(content.decode("utf-8", "surrogatepass"), newline="")))[1:]
    assert [(int(number), original(text)) for number, text in found] == rows


@given(st.lists(st.text()))
def test_rows_of_json_lines_are_counted(rows: list[str]) -> None:
    count = RowCount("jsonl")
    for row in rows:
        count.add((json.dumps(row) + "\n").encode())
    assert count.rows == len(rows)


def test_a_header_is_no_formula_either() -> None:
    assert csv_header(["id", "=1", 'a"b']) == b'"id","\'=1","a""b"\n'


def test_columns_are_those_asked_for_or_all_but_headraces_own() -> None:
    assert chosen(["a", "_b"], []) == ["a"]
    assert chosen(["a", "_b"], ["_b", "a", "_b"]) == ["_b", "a"]
    with pytest.raises(NoSuchColumnError, match="did you mean carrier"):
        chosen(["carrier"], ["carier"])


@pytest.mark.parametrize("form", FORMATS)
def test_only_csv_changes_texts_and_no_format_changes_numbers(form: str) -> None:
    sql = plan(TABLE, Wanted("a.b", form), Sight()).sql  # type: ignore[arg-type]
    assert ("match(toString(`text`)" in sql) == (form == "csv")
    assert "match(toString(`id`)" not in sql


def test_a_condition_stands_inside_what_the_policy_shows_and_below_what_is_written() -> None:
    few = Sight(rows=("`id` > 3",), masked={"text": ()})
    made = plan(TABLE, Wanted("a.b", "csv", ("text",), "text = 'x'"), few)
    assert made.masked == ("text",)
    assert re.search(r"FROM \(SELECT `text` FROM \(SELECT .*`id` > 3.*\) WHERE \(text = 'x'\)\)$", made.sql)


@pytest.mark.parametrize("form", FORMATS)
def test_the_engine_is_told_not_to_leave_rows_out(form: str) -> None:
    settings = plan(TABLE, Wanted("a.b", form), Sight()).settings  # type: ignore[arg-type]
    assert settings["use_query_condition_cache"] == "0"


MARK = b"\r\n__exception__\r\ntag\r\n"


@given(st.binary(max_size=60), st.integers(1, 9))
def test_what_goes_wrong_late_is_no_short_answer_however_it_is_cut(content: bytes, size: int) -> None:
    sent = content + MARK + b"Code: 1. DB::Exception: too much\n"
    pieces = (sent[at : at + size] for at in range(0, len(sent), size))
    found: list[bytes] = []
    with pytest.raises(QueryError, match="too much"):
        found.extend(unbroken(pieces, MARK))
    assert b"".join(found) == content
    whole = (content[at : at + size] for at in range(0, len(content), size))
    assert b"".join(unbroken(whole, MARK)) == content, "without the mark nothing is held against it"


def stream(batches: int) -> Generator[bytes]:
    sink = io.BytesIO()
    batch = pa.RecordBatch.from_pydict({"id": [1, 2], "raw": ["x", None]})
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        for _ in range(batches):
            writer.write_batch(batch)
    yield sink.getvalue()


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_bytes_are_bytes_in_typed_formats_and_rows_are_counted(form: str) -> None:
    counted: list[int] = []
    made = Plan(("id", "raw"), "", "ArrowStream", {}, ("raw",), ())
    content = b"".join(encoded(form, made, stream(3), counted.append))  # type: ignore[arg-type]
    found = pa.ipc.open_stream(content).read_all() if form == "arrow" else pa.parquet.read_table(io.BytesIO(content))
    assert found.schema.field("raw").type == pa.binary()
    assert sum(counted) == found.num_rows == 6


def hidden_lists() -> Generator[bytes]:
    """What the engine sends of lists and maps that are hidden in some rows, and in all."""
    table = "(SELECT number AS id, [number] AS tags, map('k', number) AS pairs, [[number]] AS gone FROM numbers(3))"
    few = Sight(masked={"tags": ("(id < 2)",), "pairs": ("(id > 0)",), "gone": ()})
    yield chdb.query(f"SELECT * FROM {visible(table, ['id', 'tags', 'pairs', 'gone'], few)}", "ArrowStream").bytes()


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_hidden_lists_and_maps_are_null_in_typed_formats(form: str) -> None:
    made = Plan(("id", "tags", "pairs", "gone"), "", "ArrowStream", {}, (), ("tags", "pairs", "gone"))
    content = b"".join(encoded(form, made, hidden_lists()))  # type: ignore[arg-type]
    found = pa.ipc.open_stream(content).read_all() if form == "arrow" else pa.parquet.read_table(io.BytesIO(content))
    assert found.to_pydict() == {
        "id": [0, 1, 2],
        "tags": [[0], [1], None],
        "pairs": [None, [("k", 1)], [("k", 2)]],
        "gone": [None, None, None],
    }
    assert pa.types.is_map(found.schema.field("pairs").type)
    assert b"".join(plain_arrow(hidden_lists()))[:4] == b"\xff\xff\xff\xff"


def test_the_control_parquet_has_no_unions() -> None:
    table = pa.ipc.open_stream(b"".join(hidden_lists())).read_all()
    with pytest.raises(pa.ArrowNotImplementedError, match="union"):
        pa.parquet.write_table(table, io.BytesIO())


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None), ("bytes=0-", (0, 10)), ("bytes=4-6", (4, 7)), ("bytes=4-99", (4, 10)), ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)), ("bytes=6-4", None), ("bytes=-", None), ("bytes=0-1,3-4", None), ("rows=0-1", None),
    ],
)  # fmt: skip
def test_one_range_of_bytes_is_served(header: str, expected: tuple[int, int] | None) -> None:
    assert byte_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_beyond_the_file_is_refused(header: str) -> None:
    with pytest.raises(BadRangeError):
        byte_range(header, 10)
