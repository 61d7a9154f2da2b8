"""The commands for secrets, against the gateway's double: a value goes to the gateway and nowhere else."""

import json
from base64 import b64decode
from collections.abc import Callable

import pytest
import yaml
from typer.testing import Result

from headrace.cli import secrets
from tests.unit.cli.gateway_double import GatewayDouble

Run = Callable[..., Result]


def test_a_value_is_piped_in_without_its_line_end(run: Run, gateway: GatewayDouble) -> None:
    result = run("secret", "set", "shop.password", "-", input="hunter2\n")
    assert result.exit_code == 0
    assert gateway.secrets == {"shop.password": "hunter2"}
    assert "shop.password version 1" in result.stdout
    assert "hunter2" not in result.output


@pytest.mark.parametrize(("piped", "kept"), [("a\nb\n\n", "a\nb\n"), ("a\r\n", "a"), (" a ", " a "), ("a\r", "a\r")])
def test_only_one_line_end_is_left_out(run: Run, gateway: GatewayDouble, piped: str, kept: str) -> None:
    assert secrets.one_line_end_less(piped) == kept


def test_a_value_is_asked_for_unseen_and_twice(
    run: Run, gateway: GatewayDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "_at_a_terminal", lambda: True)
    result = run("secret", "set", "shop.password", input="hunter2\nhunter2\n")
    assert result.exit_code == 0
    assert gateway.secrets == {"shop.password": "hunter2"}
    assert "hunter2" not in result.output
    assert run("secret", "set", "shop.password", input="hunter2\nhunter3\n").exit_code == 1
    assert gateway.secrets == {"shop.password": "hunter2"}


def test_without_a_terminal_it_says_how_to_pipe(run: Run, gateway: GatewayDouble) -> None:
    result = run("secret", "set", "shop.password", input="hunter2\n")
    assert result.exit_code == 1
    assert "headrace secret set shop.password -" in result.stderr
    assert gateway.calls == []


def test_a_value_as_an_argument_is_refused_and_not_repeated(run: Run, gateway: GatewayDouble) -> None:
    result = run("secret", "set", "shop.password", "hunter2")
    assert result.exit_code == 1
    assert "hunter2" not in result.output
    assert gateway.calls == []


def test_an_empty_value_is_refused(run: Run, gateway: GatewayDouble) -> None:
    assert run("secret", "set", "shop.password", "-", input="\n").exit_code == 1
    assert gateway.calls == []


def test_the_list_shows_who_and_when_and_what_is_under_another_key(run: Run, gateway: GatewayDouble) -> None:
    assert "There are no secrets yet" in run("secret", "ls").stdout
    gateway.secrets = {"shop.password": "hunter2"}
    shown = run("secret", "ls").stdout
    assert "shop.password" in shown
    assert "1 secret not under the current master key" in shown
    assert "hunter2" not in shown
    listed = json.loads(run("secret", "ls", "-o", "json").stdout)
    assert listed["items"][0]["datasets"] == ["shop.orders"]
    assert yaml.safe_load(run("secret", "ls", "-o", "yaml").stdout) == listed


def test_a_secret_in_use_is_removed_only_with_force(run: Run, gateway: GatewayDouble) -> None:
    gateway.secrets = {"shop.password": "hunter2"}
    refused = run("secret", "rm", "shop.password")
    assert refused.exit_code == 1
    assert "shop.orders" in refused.stderr
    assert run("secret", "rm", "shop.password", "--force").exit_code == 0
    assert gateway.secrets == {}
    assert run("secret", "rm", "shop.password", "--force").exit_code == 1


def test_rotate_says_how_many_and_fails_when_one_could_not(run: Run, gateway: GatewayDouble) -> None:
    gateway.secrets = {"shop.password": "hunter2"}
    done = run("secret", "rotate")
    assert done.exit_code == 0
    assert "1 secret put under the master key new" in done.stdout
    gateway.broken = ["shop.old"]
    failed = run("secret", "rotate", "-o", "json")
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["failed"][0]["name"] == "shop.old"


def test_a_new_key_is_256_bits_each_time_another(run: Run) -> None:
    first, second = (run("secret", "new-key") for _ in range(2))
    assert len(b64decode(first.stdout, validate=False)) == 32
    assert first.stdout != second.stdout
    assert "HEADRACE_MASTER_KEY_FILE" in first.stderr
    assert len(b64decode(json.loads(run("secret", "new-key", "-o", "json").stdout)["key"])) == 32


def test_warnings_of_a_plan_are_shown_and_refuse_nothing(run: Run, gateway: GatewayDouble, tmp_path: object) -> None:
    gateway.warnings = ["there is no secret shop.password"]
    document = "dataset: shop.orders\ndescription: d\nowner: {team: t}\nsource: {type: http_push}\n"
    planned = run("plan", "-f", "-", input=document)
    assert planned.exit_code == 2
    assert "warning there is no secret shop.password" in planned.stdout
    applied = run("apply", "-f", "-", input=document)
    assert applied.exit_code == 0
    assert "warning there is no secret shop.password" in applied.stdout
