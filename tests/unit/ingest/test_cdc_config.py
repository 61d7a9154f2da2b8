"""What Kafka Connect is told of a dataset, and what it never is."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from headrace.errors import Fatal, Transient
from services.ingest.connectors.cdc import passwords
from services.ingest.connectors.cdc.config import config, differs
from services.ingest.connectors.cdc.connect import Connect, Status
from services.ingest.connectors.cdc.names import Names, pattern
from services.ingest.connectors.cdc.position import Place
from services.ingest.connectors.cdc.settings import MariadbCdcSource, MysqlCdcSource, PostgresCdcSource
from tests.unit.contract.documents import edited, problems
from tests.unit.ingest.rest_api import Api, Reply, served

SECRETS = Path("/secrets")


def postgres(**more: Any) -> dict[str, str]:
    settings = {"type": "postgres_cdc", "host": "db.example", "user": "reader", "name": "shop", "table": "sales.orders"}
    source = PostgresCdcSource.model_validate({**settings, **more})
    return config(source, Names("shop.orders", 1), "203.0.113.7", SECRETS, "broker:9092")


def mysql(**more: Any) -> dict[str, str]:
    settings = {"type": "mysql_cdc", "host": "db.example", "user": "reader", "table": "shop.orders"}
    source = MysqlCdcSource.model_validate({**settings, **more})
    return config(source, Names("shop.orders", 1), "203.0.113.7", SECRETS, "broker:9092")


def mariadb(**more: Any) -> dict[str, str]:
    settings = {"type": "mariadb_cdc", "host": "db.example", "user": "reader", "table": "shop.orders"}
    source = MariadbCdcSource.model_validate({**settings, **more})
    return config(source, Names("shop.orders", 1), "203.0.113.7", SECRETS, "broker:9092")


def test_the_password_is_named_and_not_told() -> None:
    assert postgres(password="secret://shop")["database.password"] == "${directory:/secrets:shop.orders.cdc1}"
    assert "database.password" not in postgres()


@pytest.mark.parametrize("made", [postgres(), mysql(), mariadb()])
def test_everything_is_written_exactly_once_and_nothing_is_rounded_or_skipped(made: dict[str, str]) -> None:
    assert made["exactly.once.support"] == "required"
    assert made["decimal.handling.mode"] == "string"
    assert made["skipped.operations"] == "none"
    assert made["tasks.max"] == "1"
    assert all(isinstance(value, str) for value in made.values())


def test_the_address_that_was_looked_at_is_connected_to_but_a_verified_name_is_needed_as_it_is() -> None:
    assert postgres()["database.hostname"] == mysql()["database.hostname"] == "203.0.113.7"
    assert postgres(tls="verified")["database.hostname"] == "db.example"
    assert postgres(tls="verified")["database.sslmode"] == "verify-full"
    assert mysql(tls="on")["database.ssl.mode"] == "required"
    assert mariadb(tls="on")["database.ssl.mode"] == "trust"


def test_mariadb_has_a_plugin_of_its_own_and_the_rest_as_mysql() -> None:
    differing = {name for name in mysql() if mysql()[name] != mariadb()[name]}
    assert differing == {"connector.class", "database.ssl.mode", "datatype.propagate.source.type"}


def test_one_table_is_captured_whatever_its_name_is_made_of() -> None:
    included = postgres(table="sales.odd $name(1)")["table.include.list"]
    assert re.fullmatch(included, "sales.odd $name(1)")
    assert not re.fullmatch(included, "salesxodd $name(1)")
    assert postgres(table="orders")["table.include.list"] == r"public\.orders"


def test_records_of_the_table_go_to_one_topic_and_heartbeats_do_not() -> None:
    made, names = postgres(), Names("shop.orders", 1)
    route = re.compile(made["transforms.route.regex"])
    assert route.fullmatch(f"{made['topic.prefix']}.sales.orders")
    assert not route.fullmatch(names.heartbeats)
    assert made["transforms.route.replacement"] == names.topic


def test_each_dataset_and_snapshot_has_names_of_its_own_that_postgresql_takes() -> None:
    made = [
        Names(dataset, number) for dataset in ("a_b.c", "a.b_c", f"a.{'b' * 80}", f"a.{'b' * 81}") for number in (1, 2)
    ]
    assert len({names.slot for names in made}) == len({names.connector for names in made}) == len(made)
    assert all(re.fullmatch(r"[a-z0-9_]{1,63}", names.slot) for names in made)
    assert Names("a.b", 1).server_id != Names("a.c", 1).server_id


def test_a_key_of_ones_own_is_told() -> None:
    assert postgres(row_key=["id", "line"])["message.key.columns"] == r"sales\.orders:id,line"
    assert pattern("a.b") == r"a\.b"


def test_only_what_changed_is_told_anew() -> None:
    assert not differs(postgres(), {**postgres(), "name": "shop.orders.cdc1"})
    assert differs(postgres(), postgres(heartbeat_s=5))


def test_a_table_of_mysql_has_its_database_in_front() -> None:
    with pytest.raises(ValidationError, match=r"database\.table"):
        mysql(table="orders")


def test_a_position_is_read_back() -> None:
    place = Place(2, 17, "id")
    assert Place.from_json(place.to_json()) == place


def test_a_password_is_left_for_the_worker_alone_and_taken_back(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert passwords.leave(folder, "shop.orders", SecretStr("one"))
    assert not passwords.leave(folder, "shop.orders", SecretStr("one"))
    assert passwords.leave(folder, "shop.orders", SecretStr("two"))
    file = folder / "shop.orders"
    assert file.read_text() == "two"
    assert (file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    passwords.take_back(folder, "shop.orders")
    assert list(folder.iterdir()) == []


def test_a_password_that_cannot_be_left_is_not_in_the_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Fatal, match="HEADRACE_CONNECT_SECRETS") as raised:
        passwords.leave(tmp_path / "file", "shop.orders", SecretStr("hunter2"))
    assert "hunter2" not in str(raised.value)


def test_the_cause_of_a_failure_is_the_innermost() -> None:
    trace = "a.X: outer\n\tat a.b(C.java:1)\nCaused by: org.postgresql.PSQLException: FATAL: no\n\tat d.e(F.java:2)\n"
    status = Status("RUNNING", "FAILED", trace)
    assert status.failed
    assert status.cause == "FATAL: no"
    assert not Status("RUNNING", "RUNNING").failed


def answering(status: int, body: Any) -> Connect:
    connect = Connect("http://worker")
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
    connect._client = httpx.Client(base_url="http://worker", transport=transport)
    return connect


def test_a_worker_that_is_busy_passes_and_one_that_refuses_does_not() -> None:
    with pytest.raises(Transient, match="rebalance"):
        answering(409, {"message": "rebalance in progress"}).status("a")
    with pytest.raises(Fatal, match="no such class"):
        answering(400, {"message": "no such class"}).pause("a")
    assert answering(404, {}).status("a") is None


def test_a_refusal_passes_while_the_database_cannot_be_reached() -> None:
    with pytest.raises(Transient, match="Connection refused"):
        answering(400, {"message": "Unable to connect: Connection refused"}).pause("a")


def test_a_worker_that_is_not_there_says_how_to_start_it() -> None:
    with pytest.raises(Transient, match="headrace up --with connect"):
        Connect("http://127.0.0.1:1").version()


CDC = ("type: file\n  path: data/orders.csv", "type: mysql_cdc\n  host: h\n  user: u\n  table: a.b")


def test_a_dataset_of_changes_has_to_say_which_of_them_its_table_keeps() -> None:
    (problem,) = problems(edited(CDC, ("load:\n  mode: upsert\n", "")))
    assert "upsert" in problem.expected
    assert "append" in problem.expected
    for mode in ("upsert", "append"):
        assert problems(edited(CDC, ("mode: upsert", f"mode: {mode}"))) == []
    (problem,) = problems(edited(CDC, ("mode: upsert", "mode: replace")))
    assert "never ends" in problem.expected


def test_a_worker_that_is_starting_is_waited_for_though_it_answers_that_nothing_is_there() -> None:
    starting = Reply(b"<html>Error 404 Not Found</html>", 404, {"Content-Type": "text/html"})
    nothing = Reply({"error_code": 404, "message": "Connector x not found"}, 404, {"Content-Type": "application/json"})
    with served(Api()) as api, Connect(api.url) as connect:
        api.first = [starting, nothing]
        with pytest.raises(Transient, match="is starting"):
            connect.config("x")
        assert connect.config("x") is None
