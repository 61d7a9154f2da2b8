"""The commands of the audit log, against the gateway's double."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import Result

from tests.unit.cli.gateway_double import GatewayDouble, problem
from tests.unit.gateway.test_audit_chain import chain

Run = Callable[..., Result]

ACT: dict[str, Any] = {
    "id": "2" * 32,
    "at": "2026-01-02T03:04:05Z",
    "ended_at": None,
    "actor": "[red]ada",
    "action": "POST /api/v1/query",
    "datasets": ["nyc.flights"],
    "address": "192.0.2.7",
    "status": None,
    "outcome": "unknown",
    "details": {"body": {"sql": "select 1"}},
}


class AuditDouble(GatewayDouble):
    """Three pages of acts, and what verifying finds."""

    def __init__(self) -> None:
        super().__init__()
        self.params: list[dict[str, str]] = []
        self.finding: dict[str, Any] | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        if not path.startswith("/audit"):
            return super().__call__(request)
        self.params.append(dict(request.url.params))
        match path.split("/")[2:]:
            case []:
                page = int(request.url.params.get("cursor", "0")) + 1
                return httpx.Response(200, json={"items": [ACT], "next_cursor": str(page) if page < 3 else None})
            case ["verify"]:
                told = {"writer": "0.1", "entries": 5, "anchored": 5, "unproven": 0, "finding": self.finding}
                ok = self.finding is None
                return httpx.Response(200, json={"ok": ok, "entries": 5, "unproven": 2, "chains": [told]})
            case ["export"]:
                return httpx.Response(200, text="".join(json.dumps(asdict(each)) + "\n" for each in chain("0.1", 3)))
            case [identity] if identity == ACT["id"]:
                entry = {"writer": "0.1", "seq": 4, "prev_hash": "", "hash": "ab", "phase": "begun", "at": ACT["at"]}
                return httpx.Response(200, json={**ACT, "entries": [entry]})
            case _:
                return problem(404, "Not found", "There is no such act.")


@pytest.fixture
def gateway() -> AuditDouble:
    return AuditDouble()


def test_acts_are_listed_page_by_page_with_what_was_asked_for(run: Run, gateway: AuditDouble) -> None:
    shown = run("audit", "ls", "--actor", "ada", "--outcome", "unknown", "--since", "2026-01-01", "--limit", "2")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.count("POST /api/v1/query") == 2
    assert "[red]ada" in shown.stdout
    assert "There may be more" in shown.stdout
    wanted = {"actor": "ada", "outcome": "unknown", "since": "2026-01-01T00:00:00+00:00"}
    assert gateway.params == [{**wanted, "limit": "2"}, {**wanted, "limit": "2", "cursor": "1"}]
    assert len(json.loads(run("audit", "ls", "-o", "json").stdout)) == 3


def test_one_act_is_shown_with_its_place_in_the_chain(run: Run) -> None:
    shown = run("audit", "show", ACT["id"]).stdout
    assert "select 1" in shown
    assert "entry 4 of 0.1, hash ab" in shown
    assert run("audit", "show", "x").exit_code == 1


def test_verifying_says_what_is_wrong_and_fails(run: Run, gateway: AuditDouble) -> None:
    good = run("audit", "verify")
    assert (good.exit_code, "all as they were written" in good.stdout) == (0, True)
    assert "2 stand behind the newest anchored head" in good.stdout
    gateway.finding = {"kind": "truncated", "seq": 6, "message": "entries 6 to 9 are cut off"}
    bad = run("audit", "verify")
    assert bad.exit_code == 1
    assert "truncated in chain 0.1: entries 6 to 9 are cut off" in bad.stdout
    assert "all as they were written" not in bad.stdout


def test_an_export_is_verified_without_a_gateway(run: Run, gateway: AuditDouble, tmp_path: Path) -> None:
    out = tmp_path / "audit.ndjson"
    assert run("audit", "export", "--out", str(out), "--until", "2027-01-01").exit_code == 0
    assert gateway.params[-1] == {"format": "ndjson", "until": "2027-01-01T00:00:00+00:00"}
    good = run("audit", "verify", "--file", str(out))
    assert (good.exit_code, "3 entries in 1 chain" in good.stdout) == (0, True)
    assert "a file cannot tell" in good.stdout
    made = chain("0.1", 3)
    made[1] = replace(made[1], actor="bea")
    out.write_text("".join(json.dumps(asdict(each)) + "\n" for each in made))
    assert "changed in chain 0.1: entry 2" in run("audit", "verify", "--file", str(out)).stdout
    assert run("audit", "verify", "--file", str(out)).exit_code == 1
    out.write_text("no json\n")
    wrong = run("audit", "verify", "--file", str(out))
    assert (wrong.exit_code, "line 1 is no entry" in wrong.stderr) == (1, True)
