"""Exports over a real warehouse: every format holds the rows, and says how complete they are. Nothing else is within reach."""

import csv
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from headrace.access.policy import Sight
from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.adapters.export_source import ExportSource
from services.gateway.adapters.warehouse import QueryError
from services.gateway.bootstrap import build, serve
from services.gateway.core.exports import Wanted
from services.gateway.gateway import Gateway
from services.gateway.settings import GatewaySettings
from tests.integration.warehouse.server import PASSWORDS, Warehouse
from tests.unit.gateway.conftest import ADMIN, NOWHERE
from tests.unit.gateway.spreadsheets import original
from tests.unit.gateway.test_datasets import live

SAMPLES = """
dataset: lab.samples
description: Samples.
owner: {team: lab}
source: {type: file, path: samples.csv}
schema:
  fields:
    - {name: id, logicalType: integer}
    - {name: text, logicalType: string}
    - {name: raw, logicalType: string, logicalTypeOptions: {format: binary}}
"""
PATH = "/api/v1/datasets/lab.samples/export"
COLUMNS = (
    "id Int64, text Nullable(String), amount Decimal(38, 4), ratio Nullable(Float64), at DateTime64(6, 'UTC'), day Date32, "
    "yes Bool, parts Array(String), inner Tuple(a Int64, b Nullable(String)), raw String, _offset Int64"
)
TEXTS = (
    "plain",
    "=1+1",
    "-2",
    "+3",
    "@x",
    "\tt",
    "\rr",
    "'=already",
    "'just",
    'a "quote", b',
    "two\nlines",
    "",
    None,
    "＝1",
)
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def row(number: int) -> dict[str, Any]:
    return {
        "id": -number,
        "text": TEXTS[number % len(TEXTS)],
        "amount": Decimal("-12345678901234567890.1234") if number % 2 else Decimal("0.1000"),
        "ratio": None if number % 3 == 0 else -number / 7,
        "at": AT,
        "day": date(1950, 6, 7),
        "yes": number % 2 == 0,
        "parts": ["=1+1", f"{number}"],
        "inner": {"a": number, "b": None},
        "raw": b"\xff\x00=",
        "_offset": number,
    }


#: More than the engine sends at a time.
ROWS = [row(number) for number in range(66_000)]
OWN = [{name: value for name, value in each.items() if name != "_offset"} for each in ROWS]


@pytest.fixture(scope="module")
def filled(warehouse: Warehouse) -> Warehouse:
    warehouse.value("CREATE DATABASE IF NOT EXISTS lab")
    warehouse.value(f"CREATE TABLE lab.samples ({COLUMNS}) ENGINE = MergeTree ORDER BY _offset")
    texts = ", ".join("NULL" if text is None else f"unhex('{text.encode().hex()}')" for text in TEXTS)
    warehouse.value(
        f"""INSERT INTO lab.samples SELECT -number, [{texts}][number % {len(TEXTS)} + 1],
        if(number % 2, toDecimal128('-12345678901234567890.1234', 4), toDecimal128('0.1', 4)),
        if(number % 3 = 0, NULL, -number / 7),
        '{AT:%Y-%m-%d %H:%M:%S.%f}', '1950-06-07', number % 2 = 0, ['=1+1', toString(number)], (number, NULL), unhex('FF003D'),
        number FROM numbers({len(ROWS)})"""
    )
    return warehouse


@pytest.fixture
def gateway(filled: Warehouse, tmp_path: Path) -> Gateway:
    settings = GatewaySettings(
        gateway_admin_token=SecretStr(ADMIN),
        data_dir=tmp_path,
        bootstrap_servers=NOWHERE,
        registry_url=f"http://{NOWHERE}",
        warehouse_url=filled.url,
        warehouse_reader_password=SecretStr(PASSWORDS["reader"]),
    )
    gateway = build(settings)
    with gateway.engine.begin() as connection:
        fold_datasets(connection, live(SAMPLES).items())
    return gateway


@pytest.fixture
def client(gateway: Gateway) -> TestClient:
    return TestClient(serve(gateway), headers={"Authorization": f"Bearer {ADMIN}"}, raise_server_exceptions=False)


def of_arrow(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=lambda each: -each["id"])


def test_arrow_and_parquet_hold_the_rows_as_they_are(client: TestClient) -> None:
    arrow = client.get(PATH, params={"format": "arrow"})
    assert arrow.status_code == HTTPStatus.OK, arrow.text
    assert of_arrow(pa.ipc.open_stream(arrow.content).read_all()) == OWN
    parquet = client.get(PATH, params={"format": "parquet", "columns": "text,id,raw"})
    assert parquet.headers["content-type"] == "application/vnd.apache.parquet"
    found = pq.read_table(io.BytesIO(parquet.content))
    assert found.column_names == ["text", "id", "raw"]
    assert of_arrow(found) == [{name: each[name] for name in ("text", "id", "raw")} for each in OWN]


def test_json_lines_lose_no_digit(client: TestClient) -> None:
    answer = client.get(PATH, params={"format": "jsonl"})
    found = sorted((json.loads(line) for line in answer.text.splitlines()), key=lambda each: -each["id"])
    assert [each["text"] for each in found] == [each["text"] for each in OWN]
    assert [each["ratio"] for each in found] == [each["ratio"] for each in OWN]
    first = found[1]
    assert (first["amount"], first["at"], first["day"]) == (
        "-12345678901234567890.1234",
        "2026-01-02T03:04:05.678901Z",
        "1950-06-07",
    )
    assert (first["parts"], first["inner"], first["raw"]) == (["=1+1", "1"], {"a": 1, "b": None}, "/wA9")


def test_csv_leaves_numbers_alone_and_lets_no_text_run(client: TestClient) -> None:
    answer = client.get(PATH, params={"format": "csv"})
    found = sorted(csv.DictReader(io.StringIO(answer.text, newline="")), key=lambda each: -int(each["id"]))
    assert len(found) == len(ROWS)
    assert [int(each["id"]) for each in found] == [each["id"] for each in OWN]
    assert [Decimal(each["amount"]) for each in found] == [each["amount"] for each in OWN]
    assert [float(each["ratio"]) if each["ratio"] else None for each in found] == [each["ratio"] for each in OWN]
    assert [original(each["text"]) for each in found] == [each["text"] or "" for each in OWN]
    assert not [
        each["text"]
        for each in found
        if each["text"].lstrip("'")[:1] in tuple("=+-@\t\r＝") and each["text"][:1] != "'"
    ]
    assert json.loads(found[1]["parts"]) == ["=1+1", "1"]
    assert json.loads(found[1]["inner"]) == {"a": 1, "b": None}
    assert '\n-11,"",' in answer.text, "a text without letters is another than none"
    assert "\n-12,," in answer.text


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "arrow"])
def test_no_row_makes_a_file_all_the_same(client: TestClient, form: str) -> None:
    answer = client.get(PATH, params={"format": form, "where": "id = 1", "columns": "id,text"})
    assert answer.status_code == HTTPStatus.OK, answer.text
    match form:
        case "csv":
            assert answer.text == '"id","text"\n'
        case "jsonl":
            assert answer.text == ""
        case "parquet":
            assert pq.read_table(io.BytesIO(answer.content)).schema.names == ["id", "text"]
        case "arrow":
            assert pa.ipc.open_stream(answer.content).read_all().schema.names == ["id", "text"]


def test_a_condition_is_about_the_values_as_they_are(client: TestClient) -> None:
    answer = client.get(
        PATH, params={"format": "csv", "columns": "_offset,text", "where": "text = '=1+1' and _offset < 20"}
    )
    assert answer.text.splitlines() == ['"_offset","text"', '1,"\'=1+1"', '15,"\'=1+1"']


@pytest.mark.parametrize(
    ("params", "code", "said"),
    [
        ({"columns": "id,txt"}, "no-such-column", "did you mean text?"),
        ({"where": "id = 1) or (1 = 1"}, "refused-query", "cannot be read"),
        ({"where": "id in (select 1)"}, "refused-query", "a query of its own"),
        ({"where": "nothing = 1"}, "failed-query", "nothing"),
        ({"format": "xlsx"}, "invalid-request", "csv"),
    ],
)
def test_what_cannot_be_exported_is_a_problem(client: TestClient, params: dict[str, str], code: str, said: str) -> None:
    answer = client.get(PATH, params=params)
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, answer.text
    assert answer.json()["type"].endswith(code)
    assert said in answer.json()["detail"]


def test_headers_name_the_file_and_say_how_complete_it_is(client: TestClient) -> None:
    headers = client.get(PATH, params={"where": "id = 1"}).headers
    assert headers["content-disposition"].startswith('attachment; filename="lab.samples-')
    assert "kafka" in headers["x-headrace-waiting-for"].lower() or headers["x-headrace-waiting-for"]
    assert "x-headrace-complete-through" not in headers, "with Kafka down, nobody knows"


def test_nothing_that_was_hidden_is_exported_nor_found_by_a_condition(gateway: Gateway) -> None:
    dataset = gateway.datasets.get("lab.samples")
    assert dataset is not None
    source: ExportSource = gateway.export_source

    def exported(sight: Sight, where: str = "") -> list[list[str]]:
        opened = source.open(dataset, Wanted(dataset.name, "csv", ("id", "text"), where), sight)
        return list(csv.reader(io.StringIO(b"".join(opened.pieces).decode(), newline="")))[1:]

    few = Sight(rows=("`_offset` < 3",), masked={"text": ("`_offset` = 1",)})
    assert exported(few) == [["0", ""], ["-1", "'=1+1"], ["-2", ""]]
    assert exported(few, "text = 'plain'") == []
    assert exported(few, "_offset = 7") == []
    assert exported(Sight(), "text = 'plain' and _offset < 3") == [["0", "plain"]], "without a policy it is found"


def test_an_export_that_breaks_off_has_no_proper_end(gateway: Gateway) -> None:
    dataset = gateway.datasets.get("lab.samples")
    assert dataset is not None
    wanted = Wanted(dataset.name, "jsonl", ("id",), "intDiv(1, toInt64(_offset) - 65999) < 2")
    opened = gateway.export_source.open(dataset, wanted, Sight())
    with pytest.raises(QueryError):
        list(opened.pieces)
