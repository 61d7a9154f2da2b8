"""Values of parameters never become a part of a query's text."""

from contextlib import suppress
from typing import Any

import pytest
from clickhouse_connect.driver.binding import bind_query

from services.gateway.adapters.warehouse import Warehouse

EVIL = " || (SELECT 'out of the literal') || "


class Driver:
    """Takes a query as the driver does: what it would send is in `sent`."""

    def __init__(self) -> None:
        self.server_settings: dict[str, Any] = {}
        self.sent: list[tuple[str | bytes, dict[str, str]]] = []

    def query(self, sql: str, parameters: dict[str, Any], **_: Any) -> Any:
        self.sent.append(bind_query(sql, parameters))
        raise KeyboardInterrupt

    def raw_stream(self, sql: str, parameters: dict[str, Any], *_: Any) -> Any:
        self.query(sql, parameters)


def sent(sql: str, parameters: dict[str, Any], *, streamed: bool) -> tuple[str | bytes, dict[str, str]]:
    warehouse, driver = Warehouse("http://nowhere:1", "", "", 1), Driver()
    warehouse._client = driver  # type: ignore[assignment]
    with suppress(KeyboardInterrupt):
        if streamed:
            next(warehouse.stream(sql, "CSV", {}, parameters))
        else:
            warehouse.query(sql, 1, parameters)
    return driver.sent[0]


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("sql", ["SELECT '%(x)s'", "SELECT '{x:', '%(x)s'", "SELECT 1 WHERE 'a' LIKE '%a'"])
def test_a_value_is_not_written_into_the_text(sql: str, streamed: bool) -> None:
    assert sent(sql, {"x": EVIL}, streamed=streamed) == (sql, {})


@pytest.mark.parametrize("streamed", [True, False])
def test_the_engine_binds_what_has_a_place(streamed: bool) -> None:
    sql = "SELECT {x:String}, '%(x)s'"
    assert sent(sql, {"x": "UA"}, streamed=streamed) == (sql, {"param_x": "UA"})


def test_the_control_the_driver_would_write_it_into_the_text() -> None:
    assert bind_query("SELECT '%(x)s'", {"x": "b"}) == ("SELECT ''b''", {})
