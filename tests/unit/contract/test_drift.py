"""What a dataset file may say about columns that drift, and how decisions are written into it."""

from typing import Any

import pytest
import yaml

from headrace.contract import ContractError, Decision, FileEdit, load


def document(drift: Any, **source: Any) -> str:
    own = {"type": "http_push", "drift": drift, **source}
    return yaml.safe_dump({"dataset": "a.b", "description": "d", "owner": {"team": "t"}, "source": own})


GOOD = [
    {"price_chf": {"rename_to": "price"}},
    {"price": {"cast": "replace(price, ' CHF', '')"}},
    {"price": {"keep_as": "price_text"}, "note": {"leave_out": True}},
    {"Preis (CHF)": {"rename_to": "Preis"}, "Größe-1": {"leave_out": True}, "Preis": {"rename_to": "Preis (alt)"}},
]


@pytest.mark.parametrize("drift", GOOD)
def test_decisions_are_read_back(drift: Any) -> None:
    found = load(document(drift)).source.drift
    assert {name: each.model_dump(exclude_defaults=True) for name, each in found.items()} == drift


BAD = [
    ({"price": {}}, "one of rename_to, cast, keep_as, leave_out"),
    ({"price": {"cast": "1", "leave_out": True}}, "one of rename_to, cast, keep_as, leave_out"),
    ({"price": {"keep_as": "price"}}, "another column"),
    ({"price": {"keep_as": "_op"}}, "leading underscore"),
    ({"price": {"rename_to": "_op"}}, "leading underscore"),
    ({"price": {"cast": "sum(price)"}}, "source.drift.price.cast"),
    ({"price": {"cast": "(SELECT 1)"}}, "source.drift.price.cast"),
    ({"price": {"casts": "1"}}, "casts"),
]


@pytest.mark.parametrize(("drift", "said"), BAD)
def test_what_is_no_decision_is_refused(drift: Any, said: str) -> None:
    with pytest.raises(ContractError, match=said.replace(".", r"\.")):
        load(document(drift))


def test_sources_whose_rows_do_more_than_be_there_have_none() -> None:
    kafka = {"type": "kafka", "bootstrap_servers": "k:9092", "topic": "t"}
    for more, said in (({"metadata": {"offset": "at"}}, "metadata"), ({"tombstones": "delete"}, "deletes its row")):
        with pytest.raises(ContractError, match=said):
            load(document(GOOD[0], **kafka, **more))


def test_an_edit_is_written_into_a_file() -> None:
    found: dict[str, Any] = {
        "source": {"type": "http_push"},
        "schema": {"fields": [{"name": "id", "logicalType": "integer"}]},
    }
    FileEdit("price", Decision(keep_as="price_text"), publish=("price_text", "string")).write(found)
    FileEdit("extra", type="object", publish=("extra", "object")).write(found)
    FileEdit("extra", type="object", publish=("extra", "object")).write(found)
    assert found == {
        "source": {
            "type": "http_push",
            "drift": {"price": {"keep_as": "price_text"}},
            "columns": {"extra": "object"},
        },
        "schema": {
            "fields": [
                {"name": "id", "logicalType": "integer"},
                {"name": "price_text", "logicalType": "string"},
                {"name": "extra", "logicalType": "object", "physicalType": "json"},
            ]
        },
    }


def test_where_nothing_is_declared_nothing_is_published_by_name() -> None:
    found: dict[str, Any] = {"source": {"type": "http_push"}}
    FileEdit("extra", type="integer", publish=("extra", "integer")).write(found)
    assert found == {"source": {"type": "http_push", "columns": {"extra": "integer"}}}


def test_a_column_that_is_accepted_is_no_other_one_any_more() -> None:
    """Else its values that do not fit its own type would go where it once was mapped to."""
    found: dict[str, Any] = {"source": {"drift": {"cost": {"rename_to": "price"}, "note": {"leave_out": True}}}}
    FileEdit("cost", type="number").write(found)
    assert found == {"source": {"drift": {"note": {"leave_out": True}}, "columns": {"cost": "number"}}}
    FileEdit("note", type="string").write(found)
    assert found == {"source": {"columns": {"cost": "number", "note": "string"}}}
