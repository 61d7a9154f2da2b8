"""Which datasets take a backfill, and what is said to the others."""

import json
from typing import Any

import pytest

from headrace.contract import Contract
from services.gateway.core.backfills import refused

SQL = {"type": "sql", "database": "sqlite", "name": "shop.db", "table": "orders", "key": ["id"]}
REST = {"type": "rest", "url": "http://api.example/orders", "records": "$"}
KAFKA = {"type": "kafka", "bootstrap_servers": "kafka:9092", "topic": "orders"}
FILE = {"type": "file", "path": "orders.csv"}


def contract(source: dict[str, Any], mode: str = "upsert") -> Contract:
    key = {"key": ["id"]} if mode == "upsert" else {}
    document = {
        "dataset": "shop.orders",
        "description": "d",
        "owner": {"team": "t"},
        "source": source,
        "load": {"mode": mode},
    }
    return Contract.from_json(json.dumps({**document, **key}))


@pytest.mark.parametrize(
    ("source", "mode", "said"),
    [
        (SQL, "upsert", "`cursor` of dates or times"),
        (REST, "upsert", "without `incremental`"),
        (KAFKA, "upsert", "take the place of the newer rows"),
        (FILE, "upsert", "no cursor in time; with load.mode replace"),
        (FILE, "replace", "headrace runs start shop.orders"),
        ({"type": "http_push"}, "append", "let the sender send them again"),
        (KAFKA, "append", "--allow-duplicates"),
    ],
)
def test_a_refusal_says_why_and_what_else(source: dict[str, Any], mode: str, said: str) -> None:
    refusal = refused(contract(source, mode), allow_duplicates=False)
    assert refusal is not None
    assert said in refusal.detail


def test_what_has_a_cursor_in_time_is_taken() -> None:
    assert refused(contract({**SQL, "cursor": "updated_at"}), allow_duplicates=False) is None
    incremental = {"incremental": {"field": "updated_at", "param": "since"}}
    assert refused(contract({**REST, **incremental}), allow_duplicates=False) is None
    assert refused(contract(KAFKA, "append"), allow_duplicates=True) is None
