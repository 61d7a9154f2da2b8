"""What keeps personal data out of the table: hashes as Python's hmac makes them, masks, and keys that are shown nowhere."""

import hmac
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from headrace.contract import Contract
from headrace.errors import Fatal
from headrace.transform.engine import Engine
from headrace.transform.personal import KEY_CHARACTERS, TEST_KEY, functions
from headrace.transform.stage import Transform
from headrace.transform.trial import run_tests
from tests.unit.transform.staged import Row, contract, run

KEY = SecretStr("correct horse battery staple, and then some")
ENGINE = Engine()
TEXTS = st.lists(st.none() | st.text(max_size=80), min_size=1, max_size=20)


def computed(expression: str, values: pa.Array, key: SecretStr | None = KEY, dataset: str = "shop.orders") -> list[Any]:
    """What an expression over `v` gives for each of the values."""
    ENGINE.define(functions(dataset, key))
    return ENGINE.query(f"SELECT {expression} AS x FROM input", pa.record_batch({"v": values})).column(0).to_pylist()


def hashed(value: str | None, key: SecretStr = KEY) -> str | None:
    return None if value is None else hmac.new(key.get_secret_value().encode(), value.encode(), "sha256").hexdigest()


@settings(max_examples=25, deadline=None)
@given(TEXTS, st.text(min_size=KEY_CHARACTERS, max_size=100).map(SecretStr))
def test_a_keyed_hash_is_the_hmac_of_the_text(values: list[str | None], key: SecretStr) -> None:
    assert computed("keyed_hash(v)", pa.array(values, pa.string()), key) == [hashed(value, key) for value in values]


def test_without_the_key_nobody_finds_the_value_behind_a_hash_by_trying() -> None:
    [found] = computed("keyed_hash(v)", pa.array(["ada@example.com"]))
    [plain] = computed("sha256(v)", pa.array(["ada@example.com"]))  # what anybody can compute
    [other] = computed(
        "keyed_hash(v)", pa.array(["ada@example.com"]), SecretStr("another key of thirty-two characters")
    )
    assert len({found, plain, other}) == 3


def test_hashes_meet_across_datasets_of_one_key_and_tokens_do_not() -> None:
    values = pa.array(["ada@example.com", "bob@example.com", "ada@example.com", None])
    here, there = (
        computed("[keyed_hash(v), tokenise(v)]", values, KEY, name) for name in ("shop.orders", "shop.visits")
    )
    assert [each[0] for each in here] == [each[0] for each in there]
    tokens = [each[1] for each in here]
    assert tokens[0] == tokens[2] != tokens[1]
    assert tokens[3] is None
    assert not {*tokens[:3]} & {each[1] for each in there}
    assert tokens == [each[1] for each in computed("[keyed_hash(v), tokenise(v)]", values)]
    assert all(token.startswith("tok_") and len(token) == 36 for token in tokens[:3])


def test_what_is_no_text_is_hashed_as_its_text() -> None:
    assert computed("keyed_hash(v)", pa.array([17, None])) == [hashed("17"), None]
    assert computed("mask(v, 0, 2)", pa.array([12345, None])) == ["***45", None]


def masked(value: str | None, first: int, last: int) -> str | None:
    if value is None:
        return None
    first, last = max(first, 0), max(last, 0)
    if first + last >= len(value):
        return "*" * len(value)
    return value[:first] + "*" * (len(value) - first - last) + value[len(value) - last :]


@settings(max_examples=50, deadline=None)
@given(
    TEXTS, st.integers(-3, 9) | st.integers(-(2**63), 2**63 - 1), st.integers(-3, 9) | st.integers(-(2**63), 2**63 - 1)
)
def test_a_mask_shows_the_ends_and_nothing_of_a_value_that_has_no_more(
    values: list[str | None], first: int, last: int
) -> None:
    found = computed(f"mask(v, {first}, {last})", pa.array(values, pa.string()))
    assert found == [masked(value, first, last) for value in values]


def test_an_unknown_number_of_characters_shows_none() -> None:
    assert computed("mask(v, NULL, 2)", pa.array(["abcdef"])) == ["****ef"]


def test_a_key_that_could_be_guessed_is_refused_and_not_shown() -> None:
    with pytest.raises(Fatal, match="has 7 characters") as refused:
        functions("shop.orders", SecretStr("hunter2"))
    assert "hunter2" not in str(refused.value)
    assert len(functions("shop.orders", None)) == 1  # negative control: nothing needs a key where there is none


HASHED: dict[str, Any] = {
    "transform": {
        "sql": "SELECT id, keyed_hash(lower(mail)) AS mail, mask(card, 0, 4) AS card, CAST(price AS INT) AS price, "
        "tokenise(CAST(price AS INT)) AS t FROM input WHERE keyed_hash(mail) IS NOT NULL",
        "hash_key": "secret://shop.personal",
    },
    "checks": [
        {"check": "length", "column": "mail", "min": 64, "max": 64},
        {"check": "expression", "sql": "keyed_hash(id) <> card"},
    ],
}


def test_the_stage_hashes_and_shows_no_key() -> None:
    stage = Transform(Engine(), contract(**HASHED), 1, KEY)
    rows: list[Row] = [
        {"id": 1, "mail": "Ada@example.com", "card": "4000123412341234", "price": "5"},
        {"id": 2, "mail": "bob@example.com", "card": "12", "price": "dear"},
        {"id": 3, "mail": None, "card": None, "price": "1"},
    ]
    result = run(stage, rows)
    assert [(row["mail"], row["card"]) for row in result.rows] == [(hashed("ada@example.com"), "************1234")]
    assert result.filtered == {"KEYED_HASH(mail) IS NOT NULL": [2]}
    [(reason, detail, _, _)] = result.rejected.values()
    assert reason == "transform_error"
    block = KEY.get_secret_value().encode().ljust(64, b"\0")
    for secret in (KEY.get_secret_value(), bytes(b ^ 0x36 for b in block).hex(), bytes(b ^ 0x5C for b in block).hex()):
        assert secret not in detail


def test_without_its_key_a_stage_does_not_begin() -> None:
    stage = Transform(Engine(), contract(**HASHED), 1)
    with pytest.raises(Fatal):
        run(stage, [{"id": 1, "mail": "a", "card": "b", "price": "1"}])


def test_tests_hash_with_a_key_of_their_own() -> None:
    wanted = {"id": 1, "mail": hashed("ada", TEST_KEY), "card": "**"}
    section = {
        "name": "t",
        "given": [{"id": 1, "mail": "ADA", "card": "12", "price": "5"}],
        "expect": {"rows": [wanted]},
    }
    [verdict] = run_tests(contract(**HASHED, tests=[section]))
    assert verdict.differences == ()


def test_the_file_names_the_key_and_never_holds_it() -> None:
    with pytest.raises(ValueError, match="a value that is not shown") as refused:
        contract(transform={"sql": "SELECT tokenise(a) AS a FROM input", "hash_key": KEY.get_secret_value()})
    assert KEY.get_secret_value() not in str(refused.value)
    kept: Contract = contract(**HASHED)
    assert kept.transform_secrets == {"shop.personal"}
    assert kept.source_secrets == frozenset()
