"""What the program shows of a source that drifts, what it asks for, and what it writes into a dataset's file."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.unit.cli.gateway_double import GatewayDouble

Run = Callable[..., Result]

ITEM = {
    "column": "price",
    "reason": "wrong_type",
    "rows": 3,
    "since": "2026-01-02T03:04:05Z",
    "until": "2026-01-02T03:04:05Z",
    "first": "0-7",
    "place": "orders.csv:17",
    "examples": ["7 [red]CHF[/]"],
    "likely_type": "string",
    "hits": {
        "columns": ["total"],
        "unsure": ["rest"],
        "dropped_by": [],
        "checks": ["between_total"],
        "settings": [],
        "readers": [
            {"dataset": "shop.days", "via": "shop.orders", "reads": ["total"], "columns": ["sum"], "checks": []}
        ],
    },
}

FILE = """\
# Orders of the shop.
dataset: nyc.flights
source:
    type: file   # from the shop
    path: 'orders.csv'
schema:
    fields:
      - {name: price, logicalType: number}

key: [id]
"""


@pytest.fixture
def flights(gateway: GatewayDouble) -> GatewayDouble:
    gateway.documents["nyc.flights"] = ""
    gateway.drifting = [ITEM]
    return gateway


def test_what_drifts_is_shown_with_what_it_hits(run: Run, flights: GatewayDouble) -> None:
    shown = run("drift", "ls", "nyc.flights").stdout
    for text in ("3 rows", "0-7", "orders.csv:17", "7 [red]CHF[/]", "total, rest?", "between_total", "shop.days (sum)"):
        assert text in shown
    assert "headrace drift accept|cast|leave-out|reject nyc.flights price" in shown
    assert "leave_out True" in shown


def test_a_source_that_is_what_it_was_is_said_to_be(run: Run, flights: GatewayDouble) -> None:
    flights.drifting = []
    assert "is what it was" in run("drift", "ls", "nyc.flights").stdout


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["accept", "--type", "integer"], {"act": "accept", "type": "integer"}),
        (["accept", "--to", "price_text"], {"act": "accept", "to": "price_text"}),
        (["map", "cost"], {"act": "map", "to": "cost"}),
        (["cast", "price / 2"], {"act": "cast", "expression": "price / 2"}),
        (["leave-out"], {"act": "leave-out"}),
        (["reject"], {"act": "reject"}),
    ],
)
def test_a_decision_is_asked_for_and_waited_for(
    run: Run, flights: GatewayDouble, words: list[str], body: dict[str, str]
) -> None:
    result = run("drift", words[0], "nyc.flights", "price", *words[1:], "--because", "so it is")
    assert result.exit_code == 0, result.stderr
    assert flights.asked == [("price", {**body, "because": "so it is", "dry_run": False})]
    assert "3 resubmitted" in result.stdout


def test_rows_that_came_late_are_decided_about_too(run: Run, flights: GatewayDouble) -> None:
    flights.drifting = [ITEM, ITEM]
    assert "6 resubmitted" in run("drift", "reject", "nyc.flights", "price", "--because", "x").stdout
    assert len(flights.asked) == 2


def test_refused_rows_fail_the_command(run: Run, flights: GatewayDouble) -> None:
    flights.refused = 1
    result = run("drift", "leave-out", "nyc.flights", "price", "--because", "x")
    assert result.exit_code == 1
    assert "does not[/] fit" in result.stdout


def test_the_decision_is_written_into_a_file_which_stays_as_it_is_otherwise(
    run: Run, flights: GatewayDouble, tmp_path: Path
) -> None:
    path = tmp_path / "orders.yaml"
    path.write_text(FILE)
    words = ["cast", "nyc.flights", "price", "replace(price, ' CHF', '')", "--because", "x", "-f", str(path)]
    assert run("drift", *words, "--dry-run").exit_code == 0
    assert path.read_text() == FILE
    assert run("drift", *words).exit_code == 0
    added = "    drift:\n        price:\n            cast: replace(price, ' CHF', '')\n"
    assert path.read_text() == FILE.replace("    path: 'orders.csv'\n", f"    path: 'orders.csv'\n{added}")


def test_a_file_that_is_none_is_refused_before_anything_is_decided(
    run: Run, flights: GatewayDouble, tmp_path: Path
) -> None:
    (tmp_path / "bad.yaml").write_text("a: [")
    for name in ("bad.yaml", "nowhere.yaml"):
        result = run("drift", "leave-out", "nyc.flights", "price", "--because", "x", "-f", str(tmp_path / name))
        assert result.exit_code == 1
        assert name in result.stderr
    assert not flights.asked


def test_a_file_that_is_not_the_datasets_is_refused_before_anything_is_decided(
    run: Run, flights: GatewayDouble, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    for text in (FILE.replace("nyc.flights", "nyc.weather"), "- a list\n", "dataset: nyc.flights\n", ""):
        other.write_text(text)
        result = run("drift", "leave-out", "nyc.flights", "price", "--because", "x", "-f", str(other))
        assert result.exit_code == 1
        assert "not the file of nyc.flights" in result.stderr
        assert other.read_text() == text
    assert run("drift", "leave-out", "nyc.flights", "price", "--because", "x", "-f", "-").exit_code == 1
    assert not flights.asked


def test_the_file_keeps_its_line_ends_and_its_mark(run: Run, flights: GatewayDouble, tmp_path: Path) -> None:
    path = tmp_path / "orders.yaml"
    path.write_bytes(b"---\r\n" + FILE.replace("\n", "\r\n").encode())
    words = ["cast", "nyc.flights", "price", "replace(price, ' CHF', '')", "--because", "x", "-f", str(path)]
    assert run("drift", *words).exit_code == 0
    written = path.read_bytes()
    assert written.startswith(b"---\r\n# Orders")
    assert written.count(b"\n") == written.count(b"\r\n") == FILE.count("\n") + 4


def test_what_cannot_be_written_is_told_so_that_it_can_be_by_hand(
    run: Run, flights: GatewayDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "orders.yaml"
    path.write_text(FILE)

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    result = run("drift", "map", "nyc.flights", "price", "cost", "--because", "x", "-f", str(path))
    assert result.exit_code == 1
    for shown in ("No space left", "source.drift.price", "rename_to", "cost"):
        assert shown in result.stderr
