"""What follows from a right dataset file: names, types, order, and files that other tools read."""

import json
from pathlib import Path

import jsonschema_rs
import open_data_contract_standard as odcs_package
import pyarrow as pa
import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard

from headrace.contract import (
    Contract,
    ContractError,
    Length,
    arrow_schema,
    dependencies,
    in_dependency_order,
    json_schema,
    load,
)
from headrace.contract.generate import SCHEMA, main
from headrace.contract.odcs import from_odcs, to_odcs
from tests.unit.contract.documents import EXAMPLES, ORDERS, ROOT, contract, edited, with_sql

every_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")


@every_example
def test_an_example_is_right_and_survives_its_canonical_form(path: Path) -> None:
    loaded = load(path.read_text(encoding="utf-8"), str(path))
    text = loaded.canonical_json()
    assert Contract.from_json(text) == loaded
    assert Contract.from_json(text).canonical_json() == text


@every_example
def test_the_json_schema_accepts_an_example(path: Path) -> None:
    jsonschema_rs.validator_for(json_schema()).validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_the_json_schema_refuses_what_the_model_refuses() -> None:
    wrong = yaml.safe_load(edited(("mode: upsert", "mode: upsrt")))
    assert not jsonschema_rs.validator_for(json_schema()).is_valid(wrong)


@every_example
def test_an_example_goes_through_the_open_data_contract_standard_and_back(path: Path) -> None:
    loaded = load(path.read_text(encoding="utf-8"), str(path))
    exported = to_odcs(loaded).to_yaml()
    assert from_odcs(OpenDataContractStandard.from_string(exported)) == loaded
    standard = json.loads((Path(odcs_package.__path__[0]) / "schema.json").read_text(encoding="utf-8"))
    jsonschema_rs.validator_for(standard).validate(yaml.safe_load(exported))


def test_a_standard_contract_from_elsewhere_becomes_a_dataset_file() -> None:
    imported = from_odcs(
        OpenDataContractStandard.from_string("""
        apiVersion: v3.1.0
        kind: DataContract
        id: 53581432-6c55-4ba2-a65f-72344a91553a
        version: 1.1.0
        domain: Seller Payments
        description: {purpose: Payments to sellers.}
        team: [{username: ceastwood, role: Data Scientist}]
        slaProperties: [{property: retention, value: 3, unit: y, element: tab1.at}]
        schema:
          - name: Tab 1
            properties:
              - {name: id, logicalType: integer, logicalTypeOptions: {format: i16}, primaryKey: true, primaryKeyPosition: 1}
              - {name: amount, logicalType: number, physicalType: "NUMERIC(12,2)"}
              - {name: code, logicalType: string, logicalTypeOptions: {minLength: 2, maxLength: 3, format: email}}
              - {name: tags, logicalType: array, logicalTypeOptions: {maxItems: 9}, items: {logicalType: string}}
              - name: at
                logicalType: timestamp
                quality: [{metric: nullValues, mustBe: 0, severity: warning}]
        """)
    )
    assert (imported.dataset, imported.key, imported.source.type) == ("seller_payments.tab_1", ["id"], "http_push")
    columns: dict[str, pa.DataType] = {
        "id": pa.int32(),
        "amount": pa.decimal128(12, 2),
        "code": pa.string(),
        "tags": pa.list_(pa.string()),
        "at": pa.timestamp("us", tz="UTC"),
    }
    assert arrow_schema(imported) == pa.schema(columns)
    assert [(check.name, check.severity) for check in imported.checks] == [
        ("length_code", "reject"),
        ("length_tags", "reject"),
        ("not_null_at", "flag"),
    ]
    assert imported.checks[:2] == [
        Length(check="length", name="length_code", column="code", min=2, max=3),
        Length(check="length", name="length_tags", column="tags", max=9),
    ]
    assert imported.retention is not None
    assert (imported.retention.value, imported.retention.element) == (3, "at")


def test_what_a_dataset_file_has_no_place_for_is_refused_by_name() -> None:
    foreign = to_odcs(contract(ORDERS))
    assert foreign.schema_ is not None
    assert foreign.schema_[0].properties is not None
    foreign.schema_[0].properties[0].logicalType = "vector"
    with pytest.raises(ContractError, match=r"schema\.fields\[0\]\.logicalType: found 'vector'"):
        from_odcs(foreign)


def test_every_declared_type_has_an_arrow_type() -> None:
    schema = arrow_schema(load((ROOT / "schemas/examples/datasets/types.yaml").read_text(encoding="utf-8")))
    position = pa.struct([("lat", pa.float64()), ("lon", pa.float64())])
    columns: dict[str, pa.DataType] = {
        "text": pa.string(),
        "identifier": pa.uuid(),
        "blob": pa.binary(),
        "mail": pa.string(),
        "big": pa.int64(),
        "small": pa.int32(),
        "wide": pa.float64(),
        "narrow": pa.float32(),
        "exact": pa.decimal128(38, 9),
        "yes_or_no": pa.bool_(),
        "day": pa.date32(),
        "instant": pa.timestamp("us", tz="UTC"),
        "wall_clock": pa.timestamp("us"),
        "time_of_day": pa.time64("us"),
        "free": pa.json_(pa.string()),
        "address": pa.struct([pa.field("street", pa.string(), nullable=False), pa.field("position", position)]),
        "words": pa.list_(pa.field("item", pa.string(), nullable=False)),
        "matrix": pa.list_(pa.list_(pa.float64())),
        "counts": pa.map_(pa.string(), pa.int64()),
    }
    required = {"identifier"}
    assert schema == pa.schema([pa.field(n, t, nullable=n not in required) for n, t in columns.items()])


def test_without_declared_columns_there_is_no_schema() -> None:
    assert arrow_schema(contract(with_sql("SELECT * FROM input"))) is None


def test_checks_without_a_name_get_one_of_their_own() -> None:
    more = "  - {check: not_null, column: total}\n  - {check: not_null, column: total}\n"
    named = "  - {check: expression, sql: total > 0, name: not_null_total}\nload:"
    loaded = contract(edited(("load:", more + named)))
    assert [c.name for c in loaded.checks] == [
        "between_total", "not_null_total_2", "not_null_total_3", "not_null_total",
    ]  # fmt: skip


def test_datasets_come_after_those_they_depend_on() -> None:
    nyc = [load(path.read_text(encoding="utf-8")) for path in EXAMPLES if path.parent.name == "nyc"]
    order = [c.dataset for c in in_dependency_order(nyc)]
    assert len(order) == 5
    for one in nyc:
        assert all(order.index(parent) < order.index(one.dataset) for parent in dependencies(one))
    assert dependencies(next(c for c in nyc if c.dataset == "nyc.flights")) == {
        "nyc.airports", "nyc.airlines", "nyc.planes",
    }  # fmt: skip


def test_datasets_that_wait_for_each_other_are_refused() -> None:
    one = contract(with_sql("SELECT i.a FROM input AS i JOIN ref('shop.other') AS o ON o.a = i.a"))
    other = contract(
        with_sql("SELECT i.a FROM input AS i JOIN ref('shop.orders') AS o ON o.a = i.a").replace(
            "dataset: shop.orders", "dataset: shop.other"
        )
    )
    with pytest.raises(ContractError, match=r"shop\.\w+ -> shop\.\w+ -> shop\.\w+"):
        in_dependency_order([one, other])
    assert in_dependency_order([one]) == [one]


def test_the_generated_files_are_up_to_date() -> None:
    assert main(["--check"]) == 0


def test_a_generated_file_that_was_edited_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = tmp_path / "schemas/examples/datasets/full.yaml"
    example.parent.mkdir(parents=True)
    example.write_text(ORDERS, encoding="utf-8")
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0
    (tmp_path / SCHEMA).write_text("{}", encoding="utf-8")
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert "out of date: schemas/dataset-file.schema.json" in capsys.readouterr().err
