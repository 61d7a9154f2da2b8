"""What a server of MySQL or MariaDB lacks to be captured from, and how far its log has been read."""

import pytest

from services.ingest.connectors.cdc.binlog import behind, dated, faults, missing_grants, unknown

GOOD = {"version": "10.11.19-MariaDB-log", "log_bin": "ON", "binlog_format": "ROW", "binlog_row_image": "FULL"}
ALL = ["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"]


@pytest.mark.parametrize(
    ("differing", "said"),
    [
        ({}, []),
        ({"log_bin": "OFF"}, ["the server writes no binary log"]),
        ({"binlog_format": "MIXED"}, ["binlog_format is MIXED"]),
        ({"binlog_row_image": "MINIMAL"}, ["binlog_row_image is MINIMAL"]),
        ({"version": "8.4.3"}, ["the server is 8.4.3"]),
        ({"expire_logs_days": "0.000000", "binlog_expire_logs_seconds": "0"}, []),
        ({"expire_logs_days": "10"}, []),
        ({"log_bin_compress": "ON"}, ["log_bin_compress is ON"]),
        ({"log_slave_updates": "OFF", "slaves_running": "0"}, []),
        ({"log_slave_updates": "ON", "slaves_running": "1"}, []),
        ({"log_slave_updates": "OFF", "slaves_running": "1"}, ["the server is a replica that does not log"]),
        ({"binlog_expire_logs_seconds": "3600"}, ["the server keeps its log for 3600 s: an outage that lasts longer"]),
    ],
)
def test_what_a_server_lacks_is_said(differing: dict[str, str], said: list[str]) -> None:
    found = [fault for fault, *_ in faults("mariadb_cdc", "reader", GOOD | differing, ALL)]
    assert len(found) == len(said)
    assert all(text.startswith(start) for text, start in zip(found, said, strict=True))


@pytest.mark.parametrize(
    ("grants", "missing"),
    [
        (ALL, []),
        (["GRANT SELECT, RELOAD, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `r`@`%`"], []),
        (["GRANT LOCK TABLES, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `r`@`%`"], []),
        (["GRANT REPLICATION SLAVE ON *.* TO `r`@`%`"], ["REPLICATION CLIENT", "RELOAD"]),
        (["GRANT ALL PRIVILEGES ON `shop`.* TO `r`@`%`"], ["REPLICATION SLAVE", "REPLICATION CLIENT", "RELOAD"]),
    ],
)
def test_what_a_user_lacks_is_named(grants: list[str], missing: list[str]) -> None:
    assert missing_grants(grants) == missing


def test_how_much_log_is_behind_an_offset() -> None:
    logs = [("binlog.1", 100), ("binlog.2", 50), ("binlog.3", 7)]
    assert behind(logs, {"file": "binlog.2", "pos": 20}, "") == 37
    assert behind(logs, {"file": "binlog.3", "pos": 7}, "") == 0
    assert behind(logs, {"file": "another.9", "pos": 7}, "") is None


def test_where_the_last_transaction_is_read_nothing_is_behind() -> None:
    """The control: one more is."""
    at = {"file": "binlog.1", "pos": 4, "gtids": "1-1-7,0-1-3"}
    assert behind([("binlog.1", 100)], at, "0-1-3,1-1-7") == 0
    assert behind([("binlog.1", 100)], at, "0-1-4,1-1-7") == 96


@pytest.mark.parametrize(
    ("column", "doubtful"),
    [
        (("day", "date", None, None, "NO", "'2024-01-01'", ""), True),
        (("day", "date", None, None, "YES", "'2024-01-01'", ""), False),
        (("day", "datetime", None, None, "NO", "'0000-00-00 00:00:00'", ""), False),
        (("at", "timestamp(6)", None, None, "NO", "current_timestamp(6)", ""), False),
        (("name", "varchar(9)", None, None, "NO", "'2024'", ""), False),
    ],
)
def test_dates_with_a_default_are_named(column: tuple[object, ...], doubtful: bool) -> None:
    assert dated([("id", "int(11)", 10, 0, "NO", None, "PRI"), column]) == [column[0]] * doubtful


def test_types_that_debezium_does_not_know_are_named() -> None:
    assert unknown([("id", "int(11)"), ("ip", "inet6"), ("u", "uuid")]) == ["ip"]
