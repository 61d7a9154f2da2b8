"""A test that is made of a row says what became of it, fails when the rule changes, and shows nothing that is personal."""

import re
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contract import Contract, TransformTest
from headrace.transform.trial import run_tests
from services.gateway.core.made_tests import asked_of_references, given_of, scalars
from services.gateway.core.stand_ins import StandIns
from services.gateway.made_tests import NoTestError, made_of
from tests.unit.transform.staged import contract

FIELDS = [
    {"name": "id", "logicalType": "integer", "required": True},
    {"name": "total", "logicalType": "number", "physicalType": "decimal(10, 2)"},
    {"name": "email", "logicalType": "string", "classification": "confidential"},
    {"name": "city", "logicalType": "string"},
    {"name": "note", "logicalType": "string"},
]
SQL = (
    "SELECT o.id, price * quantity AS total, lower(o.email) AS email, c.city, note FROM input AS o "
    "LEFT JOIN ref('shop.customers') AS c ON c.email = lower(o.email) WHERE status <> 'test'"
)
CHECKS: list[dict[str, Any]] = [
    {"check": "between", "column": "total", "min": 0},
    {"check": "format", "column": "email", "format": "email"},
    {"check": "references", "name": "known", "column": "city", "dataset": "geo.cities", "to": "name"},
    {"check": "between", "name": "dear", "column": "total", "max": 100, "severity": "flag"},
]
RAW: dict[str, Any] = {
    "id": 1,
    "price": 1.5,
    "quantity": 3,
    "email": "Ada.Lovelace@example.org",
    "status": "new",
    "note": "call +44 20 7183 8750",
    "unread": "secret",
    "_ingested_at": "2026-01-01T00:00:00Z",
}
CUSTOMERS = [{"email": "ada.lovelace@example.org", "city": "Bern"}, {"email": "bob@example.org", "city": "Ascona"}]
CITIES = [{"name": "Bern"}, {"name": "Basel"}]


def orders(**sections: Any) -> Contract:
    base = {"schema": {"fields": FIELDS}, "key": ["id"], "transform": {"sql": SQL}, "checks": CHECKS}
    return contract(**{**base, **sections})


def made(row: dict[str, Any], of: Contract | None = None, clear: tuple[str, ...] = ()) -> tuple[TransformTest, str]:
    of = of or orders()
    known = {"shop.customers": CUSTOMERS, "geo.cities": CITIES}
    referred = {name: known[name] for name in asked_of_references(of)}
    test, outcome, _ = made_of(of, given_of(of, row), referred, {}, "it", "About.", clear)
    return test, str(outcome)


def only(rows: list[dict[str, Any]] | str | None) -> dict[str, Any]:
    assert isinstance(rows, list)
    [row] = rows
    return row


def passes(test: TransformTest, of: Contract) -> bool:
    [verdict] = run_tests(of.model_copy(update={"tests": [test]}))
    return verdict.passed


def test_a_loaded_row_becomes_a_test_with_the_rows_that_it_needed() -> None:
    test, outcome = made(RAW)
    assert outcome == "loaded"
    row = only(test.given)
    assert set(row) == {"id", "price", "quantity", "email", "status", "note"}
    assert [len(test.ref[name]) for name in ("shop.customers", "geo.cities")] == [1, 1]
    published = only(test.expect.rows)
    assert (published["id"], published["total"], published["city"]) == (1, "4.50", "Bern")
    assert passes(test, orders())


def test_nothing_that_is_personal_is_in_it() -> None:
    test, _ = made(RAW)
    text = test.model_dump_json()
    for secret in ("ovelace", "example.org", "7183", "secret"):
        assert secret not in text.lower()
    row = only(test.given)
    assert re.fullmatch(r"[A-Z][a-z]{2}\.[A-Z][a-z]{7}@[a-z]{7}\.[a-z]{3}", row["email"])
    assert re.fullmatch(r"call \+\d\d \d\d \d{4} \d{4}", row["note"])
    shown, _ = made(RAW, clear=("email",))  # the control
    assert "Ada.Lovelace@example.org" in shown.model_dump_json()


def test_rows_of_other_datasets_are_masked_by_their_own_file() -> None:
    people = contract(
        dataset="shop.customers",
        schema={"fields": [{"name": "city", "logicalType": "string", "tags": ["PII"]}, FIELDS[2]]},
    )
    of = orders(checks=[])
    test, outcome, _ = made_of(
        of, given_of(of, RAW), {"shop.customers": CUSTOMERS}, {"shop.customers": people}, "it", "About."
    )
    ref, row = only(test.ref["shop.customers"]), only(test.given)
    assert (outcome.fate, ref["email"]) == ("loaded", row["email"].lower())
    assert re.fullmatch("[A-Z][a-z]{3}", ref["city"])
    assert ref["city"] != "Bern"
    assert only(test.expect.rows)["city"] == ref["city"]


def test_short_values_that_are_equal_by_chance_stay() -> None:
    fields = [{"name": "score", "logicalType": "integer", "classification": "restricted"}]
    of = contract(schema={"fields": fields})
    test, _, masked = made_of(of, {"id": 3, "score": 3, "code": "AB12", "email": "AB12"}, {}, {}, "it", "About.")
    row = only(test.given)
    assert (sorted(masked), row["id"]) == (["email", "score"], 3)
    assert row["score"] != 3
    assert row["code"] == row["email"] != "AB12"


def test_the_same_row_makes_the_same_test() -> None:
    assert made(RAW) == made(dict(RAW))


@pytest.mark.parametrize(
    ("changed", "outcome", "rule"),
    [
        ({"status": "test"}, "filtered by status <> 'test'", {"transform": {"sql": SQL.replace("'test'", "'none'")}}),
        ({"price": -1.0}, "quarantined by between_total", {"checks": CHECKS[1:]}),
        ({"email": "ada"}, "quarantined by format_email", {"checks": [CHECKS[0], *CHECKS[2:]]}),
        ({"price": 70.0}, "loaded", {"checks": CHECKS[:3]}),
        ({"email": "bob@example.org"}, "quarantined by known", {"checks": CHECKS[:2]}),
        ({}, "loaded", {"transform": {"sql": SQL.replace("price * quantity", "price * quantity * 2")}}),
    ],
)
def test_a_test_passes_and_fails_when_the_rule_changes(
    changed: dict[str, Any], outcome: str, rule: dict[str, Any]
) -> None:
    test, became = made({**RAW, **changed})
    assert became == outcome
    assert passes(test, orders())
    assert not passes(test, orders(**rule))


def test_a_row_whose_stand_in_would_end_otherwise_is_no_test() -> None:
    check = {"check": "expression", "name": "checksum", "sql": "md5(email) = md5('ada.' || 'lovelace@example.org')"}
    of = orders(checks=[check])
    with pytest.raises(NoTestError, match="stand-ins for email change what becomes of the row, which is loaded") as no:
        made(RAW, of)
    assert no.value.columns == ("email",)
    test, outcome = made(RAW, of, clear=("email",))
    assert (outcome, passes(test, of)) == ("loaded", True)


def test_what_the_file_says_itself_stays() -> None:
    of = orders(transform={"sql": SQL + " AND o.email NOT LIKE '%@example.org'"})
    test, outcome = made(RAW, of)
    assert outcome.startswith("filtered by")
    row = only(test.given)
    assert row["email"].endswith("@example.org")
    assert "ovelace" not in row["email"].lower()


@given(st.text(max_size=40), st.text(max_size=40))
def test_stand_ins_keep_the_shape_and_what_is_equal(one: str, other: str) -> None:
    stand_ins = StandIns()
    shown, again = stand_ins.of(one), stand_ins.of(one)
    assert shown == again
    assert len(shown) == len(one)
    assert [c for c in shown if category(c)[0] not in "LMN"] == [c for c in one if category(c)[0] not in "LMN"]
    if one.isascii() and len(one) > 8 and re.search("[a-z]{8}", one):
        assert shown != one
    stand_ins.of(other)
    assert stand_ins.of(one) == shown


@given(st.integers(-(10**15), 10**15))
def test_stand_ins_of_numbers_have_as_many_digits(number: int) -> None:
    shown = StandIns().of(number)
    assert len(str(shown)) == len(str(number))
    assert (shown < 0) == (number < 0)


@pytest.mark.parametrize("value", ["CH93 0076 2011 6238 5295 7", "4111 1111 1111 1111", "10.1.2.3", "1985-10-26"])
def test_stand_ins_are_of_the_kind_that_the_value_is(value: str) -> None:
    from headrace.contract.likely_personal import personal

    shown = StandIns().of(value)
    assert shown != value
    assert personal("", [shown]) == personal("", [value])
    assert re.fullmatch(re.sub(r"[0-9]", "[0-9]", re.sub("[A-Z]", "[A-Z]", re.escape(value))), shown)


def test_a_stand_in_is_not_computed_from_the_value() -> None:
    assert StandIns().of("ada@example.org") == StandIns().of("bob@comment.com")


def test_what_is_personal_within_a_value_has_a_stand_in_by_its_name_too() -> None:
    of = contract(schema={"fields": [{"name": "id", "logicalType": "integer"}]})
    user = {"first_name": "Ada", "born": {"dateOfBirth": "1815-12-10"}, "seen": {"ada@example.org": 1}, "plan": "gold"}
    row = {"id": 1, "surname": "Lovelace", "user": {**user, "signs": ["Lovelace"]}}
    test, _, _ = made_of(of, row, {}, {}, "it", "About.")
    text = test.model_dump_json()
    for secret in ("Ada", "1815", "ada@example.org", "Lovelace"):
        assert secret not in text
    assert "gold" in text


def test_a_column_that_only_the_other_dataset_calls_personal_is_masked_in_both() -> None:
    fields = [
        {"name": "number", "logicalType": "string", "classification": "restricted"},
        {"name": "plan", "logicalType": "string"},
    ]
    people = contract(dataset="shop.customers", schema={"fields": fields})
    sql = "SELECT o.number, c.plan FROM input AS o JOIN ref('shop.customers') AS c ON c.number = o.number"
    of = contract(transform={"sql": sql})
    rows = {"shop.customers": [{"number": "C-4711", "plan": "gold"}]}
    test, outcome, _ = made_of(of, {"number": "C-4711"}, rows, {"shop.customers": people}, "it", "About.")
    assert outcome.fate == "loaded"
    assert "C-4711" not in test.model_dump_json()


def test_the_column_of_another_dataset_is_named_where_its_stand_in_changes_the_end() -> None:
    fields = [
        {"name": "number", "logicalType": "string", "classification": "restricted"},
        {"name": "plan", "logicalType": "string"},
    ]
    people = contract(dataset="shop.customers", schema={"fields": fields})
    sql = "SELECT o.number, c.plan FROM input AS o JOIN ref('shop.customers') AS c ON c.number = left(o.number, 3)"
    of = contract(transform={"sql": sql})
    with pytest.raises(NoTestError) as refused:
        made_of(
            of,
            {"number": "C-4711"},
            {"shop.customers": [{"number": "C-4", "plan": "gold"}]},
            {"shop.customers": people},
            "it",
            "",
        )
    assert refused.value.columns == ("number",)


@pytest.mark.parametrize(
    "value", ["2024-05-01 Anna Meier, Bern", "2024-05-01T13:45:12.123456Z", True, False, 0, 0.0, "नमस्ते", "٤٧١١", 1e300]
)
def test_nothing_of_a_value_slips_through(value: Any) -> None:
    made = [StandIns(salt).of(value) for salt in range(20)]
    assert all(type(each) is type(value) for each in made)
    for each in made:
        if isinstance(value, str):
            assert not re.search("Anna|Bern|13:45:12|123456|[मते٤٧१]", each)
        elif isinstance(value, bool):
            assert set(made) == {True, False}  # drawn, whatever it was
        else:
            assert each != value
            assert float(each) < float("inf")


def test_a_day_alone_stays_one_as_a_time() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00Z", StandIns().of("2024-05-01T00:00:00Z"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [0-2]\d:[0-5]\d", StandIns().of("2024-05-01 23:59"))


def test_making_one_ends_in_time() -> None:
    with pytest.raises(NoTestError, match="takes too long"):
        made_of(orders(), given_of(orders(), RAW), {}, {}, "it", "About.", limit_s=0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1985-10-26", "2024-02-29"),
        ("1985-10-26T11:12:13.123Z", "2024-02-29T22:23:24.987Z"),
        ("Ada", "Bob"),
        ("AB-12", "ZX-98"),
        (1815, 1912),
        (-2.75, -9.11),
        (True, False),
    ],
)
def test_nobody_finds_the_value_again_from_its_stand_in(one: Any, other: Any) -> None:
    assert StandIns().of(one) == StandIns().of(other)
    assert StandIns(1).of(one) == StandIns(1).of(other)


def test_rows_of_other_datasets_are_asked_for_by_no_more_than_a_request_holds() -> None:
    assert scalars([{"id": 7, "code": "Ab", "note": "x" * 501, "none": None}]) == ["7", "Ab", "ab", "AB"]
    many = scalars([{"id": f"{number:0100}"} for number in range(5000)])
    assert (len(many), many[0]) == (1000, "0" * 100)
