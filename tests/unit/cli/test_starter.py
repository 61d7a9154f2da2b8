"""A starter file is a valid dataset file that says what the data looks like."""

from pathlib import Path

import pytest

from headrace import contract
from headrace.cli.starter import Column, Found, document, look_at, plain_name
from headrace.errors import HeadraceError
from services.ingest.connectors.file.settings import FileSource


def test_types_come_from_the_values(tmp_path: Path) -> None:
    source = tmp_path / "orders.csv"
    source.write_text(
        "id,price,paid,day,at,local,name\n1,2.5,true,2024-01-01,2024-01-01T10:00:00Z,2024-01-01 10:00:00,ann\n"
        "2,3.5,false,2024-01-02,2024-01-01T10:00:00Z,2024-01-01 10:00:00,bob\n"
    )
    made = contract.load(document("shop.orders", look_at(source)))
    types = {field.name: field.logicalType for field in made.schema_.fields}
    assert types == {
        "id": "integer", "price": "number", "paid": "boolean", "day": "date",
        "at": "timestamp", "local": "timestamp", "name": "string",
    }  # fmt: skip
    zones = {field.name: field.logicalTypeOptions.timezone for field in made.schema_.fields}
    assert (zones["at"], zones["local"]) == (None, False)
    assert isinstance(made.source, FileSource)
    assert made.source.path == str(source)


def test_words_for_missing_values_are_found(tmp_path: Path) -> None:
    source = tmp_path / "planes.csv"
    source.write_text("tail,speed\nN1,NA\nN2,90\nN3,NA\n")
    found = look_at(source)
    assert found.source["csv"] == {"null_values": ["", "NA"]}
    assert found.columns[1].type == {"logicalType": "integer"}
    assert found.columns[1].nulls


def test_text_that_happens_to_hold_such_a_word_stays_text(tmp_path: Path) -> None:
    source = tmp_path / "codes.csv"
    source.write_text("code,n\nNA,1\nNB,2\n")
    assert "csv" not in look_at(source).source


def test_another_dialect_is_written_down(tmp_path: Path) -> None:
    source = tmp_path / "euro.csv"
    source.write_text("a;b\n1;'x;y'\n2;'z'\n3;'w'\n")
    made = contract.load(document("my.euro", look_at(source)))
    assert isinstance(made.source, FileSource)
    assert (made.source.csv.delimiter, made.source.csv.quote) == (";", "'")


def test_nested_json_keeps_its_shape(tmp_path: Path) -> None:
    source = tmp_path / "events.jsonl"
    source.write_text('{"id": 1, "tags": ["a"], "user": {"name": "x", "age": 3}}\n' * 3)
    made = contract.load(document("my.events", look_at(source)))
    by_name = {field.name: field for field in made.schema_.fields}
    assert by_name["tags"].items is not None
    assert by_name["tags"].items.logicalType == "string"
    assert [p.name for p in by_name["user"].properties] == ["name", "age"]


def test_a_column_that_no_value_repeats_in_is_proposed_as_key(tmp_path: Path) -> None:
    source = tmp_path / "airports.csv"
    source.write_text("zone,faa\n1,A\n1,B\n")
    assert "# key: [faa]" in document("nyc.airports", look_at(source))


def test_names_that_cannot_be_columns_are_pointed_out(tmp_path: Path) -> None:
    source = tmp_path / "odd.csv"
    source.write_text("Dep Time,b\n1,2\n3,4\n")
    text = document("my.odd", look_at(source))
    assert '"Dep Time" is published under a plain name' in text
    assert [field.name for field in contract.load(text).schema_.fields] == ["b"]


def test_what_a_source_says_of_itself_is_written_down() -> None:
    columns = [
        Column("id", {"logicalType": "integer"}, (1,), False, True),
        Column("mail", {"logicalType": "string"}, (), True, False, "email address"),
    ]
    source = {"type": "sql", "database": "sqlite", "name": "shop.db", "table": "orders", "key": ["id"]}
    made = contract.load(text := document("shop.orders", Found("Rows of orders.", source, columns, ["id"])))
    assert (made.key, made.load.mode, made.source.type) == (["id"], "upsert", "sql")
    assert [field.classification for field in made.schema_.fields] == [None, "confidential"]
    assert "seems to hold personal data: email address" in text


def test_without_a_file_rows_are_pushed() -> None:
    assert contract.load(document("my.clicks", None)).source.type == "http_push"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("picture.png", "x", "cannot tell the format"),
        ("rows.jsonl", "this is not json\n", "cannot be read as jsonl"),
        ("rows.parquet", "PAR", "cannot be read as parquet"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, content: str, message: str) -> None:
    source = tmp_path / name
    source.write_text(content)
    with pytest.raises(HeadraceError, match=message):
        look_at(source)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(HeadraceError, match="there is no such file"):
        look_at(tmp_path / "gone.csv")


@pytest.mark.parametrize(
    ("given", "name"), [("Orders 2024", "orders_2024"), ("2024-orders", "data_2024_orders"), ("--", "data")]
)
def test_a_file_name_becomes_a_dataset_name(given: str, name: str) -> None:
    assert plain_name(given) == name
