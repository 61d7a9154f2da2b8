"""Deciding by hand from the command line: what is shown, and what the gateway is asked."""

from collections.abc import Callable

from typer.testing import Result

from tests.unit.cli.gateway_double import GatewayDouble

Program = Callable[..., Result]
NAME = "shop.orders"


def test_a_held_row_is_shown_with_where_it_is_and_what_to_do(run: Program, gateway: GatewayDouble) -> None:
    assert "No row waits for a decision." in run("hold", "ls").stdout
    gateway.held_rows = [
        {"dataset": NAME, "partition": 1, "offset": 50, "rule": "huge", "reason": "check_between",
         "detail": "a is [red]99[/]", "since": "2026-01-02T03:04:05Z"},
    ]  # fmt: skip
    shown = run("hold", "ls").stdout
    for part in (
        NAME,
        "1:50",
        "huge",
        "a is [red]99[/]",
        f"headrace row {NAME} --raw 1:50",
        f"hold release {NAME} --raw 1:50",
    ):
        assert part in shown


def test_a_release_says_which_of_the_two_and_why(run: Program, gateway: GatewayDouble) -> None:
    row = ("--raw", "1:50")
    done = run("hold", "release", NAME, *row, "--quarantine", "--all-like-this", "--because", "the till")
    assert f"headrace status {NAME}" in done.stdout
    wanted = {"raw": ["1:50"], "act": "quarantine", "because": "the till", "rows": 1, "all_like_this": True}
    assert gateway.asked == [("release", wanted)]
    for both in ([], ["--pass", "--quarantine"]):
        refused = run("hold", "release", NAME, *row, *both, "--because", "x")
        assert refused.exit_code == 1
        assert "--pass or --quarantine" in refused.stderr
    assert run("hold", "release", NAME, "--pass", "--because", "x").exit_code != 0, "whichever is held is not enough"
    assert len(gateway.asked) == 1


def test_rows_are_skipped_and_versions_pinned_with_a_reason(run: Program, gateway: GatewayDouble) -> None:
    shown = run("skip", NAME, "--partition", "0", "--from", "5", "--to", "9", "--because", "a test").stdout
    assert "0:5 to 0:9" in shown
    assert "stay as they are" in shown
    assert f"headrace unpin {NAME}" in run("pin", NAME, "--because", "closed").stdout
    assert run("unpin", NAME, "--because", "open").exit_code == 0
    assert run("pin", NAME).exit_code == 1
    assert gateway.asked == [
        ("skip", {"partition": 0, "from_offset": 5, "to_offset": 9, "because": "a test"}),
        ("pin", {"because": "closed"}),
        ("unpin", {"because": "open"}),
    ]
