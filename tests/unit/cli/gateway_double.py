"""A double of the gateway for the CLI's tests.

It speaks the gateway's HTTP API from memory, through an httpx transport, and moves rows by being asked: each look at
a ledger is one step further. The tests under tests/e2e run the same commands against the real gateway.
"""

import json
from typing import Any, Final

import httpx

from headrace import contract
from headrace.errors import ContractError

TOKEN = "a-token-of-the-double"
ROWS = 100


def problem(status: int, title: str, detail: str) -> httpx.Response:
    return httpx.Response(status, json={"title": title, "status": status, "detail": detail})


#: What a changed dataset file concerns, see `POST /plan`.
IMPACT: Final[dict[str, Any]] = {
    "columns": [{"name": "delay", "kind": "changed"}, {"name": "extra", "kind": "added"}],
    "others": "removed",
    "rules": [{"name": "delay > 0", "kind": "removed"}],
    "readers": [
        {"dataset": "nyc.daily", "via": "nyc.flights", "reads": ["delay"], "columns": ["late"], "checks": []},
        {"dataset": "nyc.copy", "via": "nyc.flights", "reads": ["delay"], "columns": [], "checks": []},
    ],
    "reached": ["nyc.daily", "nyc.copy", "nyc.weekly"],
}


class GatewayDouble:
    """Datasets in memory; a dataset settles after its ledger was looked at `steps` times."""

    def __init__(self) -> None:
        self.documents: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.skipped: dict[str, str | None] = {}
        self.looks: dict[str, int] = {}
        self.steps = 3
        self.residue = 0
        self.calls: list[str] = []
        self.answer: dict[str, Any] = {"columns": [], "rows": [], "row_count": 0, "truncated": False, "elapsed_ms": 1}
        self.records: list[dict[str, Any]] = []
        self.sources: list[str] = []
        self.source_parts: list[dict[str, Any]] = []
        self.fingerprints: list[dict[str, Any]] = []
        self.back_test: list[dict[str, Any]] = []
        self.secrets: dict[str, str] = {}
        self.broken: list[str] = []
        self.warnings: list[str] = []
        self.run_causes: list[dict[str, Any]] = []  # why rows of a run were set aside
        self.stories: list[list[dict[str, Any]]] = []
        self.runs: list[dict[str, Any]] = []
        self.generations: list[dict[str, Any]] = []
        self.backfills: list[dict[str, Any]] = []
        self.source = {"state": "quiet", "since": "2026-01-02T03:04:05Z", "by": "", "because": ""}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.refused = 0
        self.holdings: list[list[dict[str, Any]]] = []  # what each look shows, one after the other
        self.held_rows: list[dict[str, Any]] = []
        self.passports: list[dict[str, Any]] = []
        self.acts: list[dict[str, Any]] = []
        self.made_test: dict[str, Any] = {}
        self.diff: list[dict[str, Any]] = []
        self.drifting: list[dict[str, Any]] = []  # one less after each decision

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return problem(401, "Unauthorized", "The token is unknown.")
        path = request.url.path.removeprefix("/api/v1").strip("/").split("/")
        self.calls.append(f"{request.method} {'/'.join(path)}")
        body = json.loads(request.content or b"{}")
        match request.method, path:
            case "POST", ["plan"]:
                return self._plan(body["document"])
            case "POST", ["plan", "back-test"]:
                self.asked.append(("back-test", body))
                return httpx.Response(200, text="".join(json.dumps(part) + "\n" for part in self.back_test))
            case "PUT", ["datasets", name]:
                self.skipped[name] = body.get("skip_tests")
                return self._apply(name, body["document"])
            case "GET", ["datasets"]:
                listed = {"version": 1, "generation": 1, "state": "active"}
                return httpx.Response(
                    200, json={"items": [{"name": name, **listed} for name in sorted(self.documents)]}
                )
            case "GET", ["status"]:
                return httpx.Response(200, json={"items": [self._status(name) for name in sorted(self.documents)]})
            case "POST", ["sources", act]:
                self.sources.append(body["document"])
                lines = (
                    self.source_parts if act == "discover" else [p for p in self.source_parts if p["part"] != "stream"]
                )
                return httpx.Response(200, text="".join(json.dumps(part) + "\n" for part in lines))
            case "POST", ["datasets", name, "rows", "passport"] if name in self.documents:
                self.asked.append(("passport", body))
                return httpx.Response(200, json={"items": self.passports, "truncated": bool(self.passports)})
            case "POST", ["datasets", name, "quarantine", act] if name in self.documents:
                self.asked.append((act, body))
                cluster = {
                    "stage": "transformer",
                    "reason": "check_references",
                    "rule": None,
                    "column": "dest",
                    "rows": 3,
                }
                verdict = {"fate": "loaded", "reason": None, "detail": "", "rows": 3, "example": "0-7"}
                dry = {"request": None, "tried": 3, "verdicts": [verdict]}
                answer = {"request": "r1", "rows": 3, "clusters": [cluster], **(dry if body["dry_run"] else {})}
                return httpx.Response(202, json=answer)
            case "POST", ["datasets", name, "drift", column] if name in self.documents:
                self.asked.append((column, body))
                kind = {"cast": "cast", "map": "rename_to"}.get(body["act"])
                told = body.get("expression") or body.get("to")
                edit = {"column": column, "decision": {kind: told}, "type": None, "publish": None} if kind else None
                self.drifting = self.drifting[1:]
                named = None if body["dry_run"] else "r1"
                decided = {"column": column, "rows": 3, "changes": [], "version": 2, "edit": edit, "request": named}
                return httpx.Response(200, json=decided)
            case "POST", ["query"]:
                return httpx.Response(200, json=self.answer)
            case _, ["secrets", *rest]:
                return self._secrets(request, rest, body)
            case "GET", ["version"]:
                return httpx.Response(200, json={"version": "9.9"})
            case "POST", ["datasets", name, "runs"] if name in self.documents:
                return httpx.Response(202, json={"dataset": name, "run": len(self.runs) + 1})
            case "GET", ["datasets", name, "runs", number, "log"] if name in self.documents:
                told = self.stories.pop(0) if self.stories else []
                found = next(each for each in self.runs if int(number) in (0, each["run"]))
                return httpx.Response(200, json={"run": found, "set_aside": self.run_causes, "items": told, "after": 7})
            case "POST", ["datasets", name, "runs", "rollback"] if name in self.documents:
                previous = next((run["run"] for run in self.runs if run["previous"]), None)
                if previous is None:
                    return problem(409, "There is no run to go back to", f"fewer than two runs of {name} were shown")
                return httpx.Response(202, json={"dataset": name, "run": previous})
            case "POST", ["datasets", name, "runs", "cancel"] if name in self.documents:
                return httpx.Response(202, json={"dataset": name, "run": 1})
            case "POST", ["datasets", name, "backfills"] if name in self.documents:
                self.backfills.append(body)
                return httpx.Response(202, json={"dataset": name, "run": 1})
            case "GET", ["held-rows"]:
                return httpx.Response(200, json={"items": self.held_rows})
            case "POST", ["datasets", name, "hold", "release"] | ["datasets", name, "skip" | "pin" | "unpin"]:
                self.asked.append((path[-1], body))
                decided = {"id": "1", "dataset": name, "act": path[-1], "at": "2026-01-02T03:04:05Z", "by": "admin"}
                return httpx.Response(200, json={"items": [{**decided, **body}]})
            case "POST", ["datasets", name, "generations", *rest] if name in self.documents:
                self.asked.append((" ".join(["generations", *rest]), body))
                return httpx.Response(200, json=self.generations[0])
            case "GET", ["datasets", name, "generations"] if name in self.documents:
                return httpx.Response(200, json={"items": self.generations})
            case "GET", ["source-holdings"]:
                return httpx.Response(200, json={"items": self.holdings.pop(0) if self.holdings else []})
            case "POST", ["datasets", name, "source", "release"]:
                self.asked.append(("release", body))
                return httpx.Response(202, json={"items": self.holdings.pop(0)})
            case "POST", ["datasets", name, "source", act] if name in self.documents:
                wish = {"dataset": name, "act": act, "at": "2026-01-02T03:04:05Z", "by": "admin", **body}
                return httpx.Response(200, json=wish)
            case "GET", ["datasets", name, *rest] if name in self.documents:
                return self._of_dataset(name, rest, request)
            case _:
                return problem(404, "Not found", f"No {'/'.join(path)} here.")

    def _secrets(self, request: httpx.Request, rest: list[str], body: dict[str, str]) -> httpx.Response:
        def shown(name: str) -> dict[str, Any]:
            return {"name": name, "version": 1, "key_id": "old", "set_at": "2026-01-02T03:04:05Z", "set_by": "admin",
                    "kept_for": None, "datasets": ["shop.orders"]}  # fmt: skip

        match request.method, rest:
            case "GET", []:
                return httpx.Response(200, json={"current_key_id": "new", "items": [*map(shown, sorted(self.secrets))]})
            case "PUT", [name]:
                self.secrets[name] = body["value"]
                return httpx.Response(200, json=shown(name))
            case "DELETE", [name] if name in self.secrets:
                if request.url.params["force"] != "true":
                    return problem(409, "In use", "shop.orders would stop")
                del self.secrets[name]
                return httpx.Response(204)
            case "POST", ["rotate"]:
                failed = [{"name": name, "detail": "there is no master key older"} for name in self.broken]
                done = {"current_key_id": "new", "rotated": len(self.secrets), "unchanged": 0, "failed": failed}
                return httpx.Response(200, json=done)
            case _:
                return problem(404, "Not found", "There is no such secret.")

    def _plan(self, document: str) -> httpx.Response:
        wanted = contract.load(document)
        version = self.versions.get(wanted.dataset, 0)
        changed = self.documents.get(wanted.dataset) != wanted.canonical_json()
        change = {"path": "transform.sql", "kind": "changed", "before": "SELECT\n1", "after": "SELECT\n2",
                  "breaking": True, "why": "values differ"}  # fmt: skip
        return httpx.Response(
            200,
            json={
                "dataset": wanted.dataset,
                "current_version": version or None,
                "next_version": version + changed,
                "changes": [change] if changed else [],
                "impact": IMPACT if changed and version > 0 else {},
                "needs_generation": changed and version > 0,
                "warnings": self.warnings,
            },
        )

    def _apply(self, name: str, document: str) -> httpx.Response:
        try:
            wanted = contract.load(document)
        except ContractError as error:
            return problem(422, "Invalid dataset file", str(error))
        changed = self.documents.get(name) != wanted.canonical_json()
        self.documents[name] = wanted.canonical_json()
        self.versions[name] = self.versions.get(name, 0) + changed
        version = self.versions[name]
        return httpx.Response(
            200, json={"name": name, "version": version, "generation": 1, "changed": changed, "warnings": self.warnings}
        )

    def _status(self, name: str) -> dict[str, Any]:
        stage = {"stage": "loader", "rows_in": 1234567, "rows_out": 1234000, "lag_rows": 567, "rate_rows_s": 1234.5,
                 "latency_ms": {"p50": 170.4, "p95": None}, "last_commit_at": "2026-01-02T03:04:05Z"}  # fmt: skip
        return {"dataset": name, "state": "active", "settled": False, "stages": [stage, stage], "source": self.source}

    def _of_dataset(self, name: str, rest: list[str], request: httpx.Request) -> httpx.Response:
        row = {"id": "0-7", "dataset": name, "stage": "transformer", "reason": "check_references",
               "detail": "dest 'SJU' is [red]not[/] known", "rule": "known_airport", "column": "dest",
               "partition": 0, "offset": 7, "topic": f"{name}.staged", "fields": '{"dest": "SJU"}',
               "quarantined_at": "2026-01-02T03:04:05Z"}  # fmt: skip
        match rest:
            case []:
                live = {
                    "name": name,
                    "version": 3,
                    "generation": 1,
                    "state": "active",
                    "description": "",
                    "owner": "ada",
                }
                return httpx.Response(
                    200, json={**live, "applied_at": "2026-01-02T03:04:05Z", "applied_by": "ada", "tags": []}
                )
            case ["ledger"]:
                return httpx.Response(200, json=self._ledger(name))
            case ["quarantine"]:
                cluster = {key: row[key] for key in ("stage", "reason", "rule", "column")} | {"rows": 7561}
                return httpx.Response(200, json={"total": 7561, "clusters": [cluster], "items": [row]})
            case ["quarantine", "clusters"]:
                return httpx.Response(200, json={"hours": 24, "total": 20, "items": self.fingerprints})
            case ["quarantine", "export"]:
                self.asked.append(("export", dict(request.url.params)))
                return httpx.Response(200, text=(json.dumps(row) + "\n") * 2)
            case ["generations", generation, "diff"]:
                self.asked.append((generation, dict(request.url.params)))
                return httpx.Response(200, text="".join(json.dumps(part) + "\n" for part in self.diff))
            case ["drift"]:
                return httpx.Response(200, json={"items": self.drifting[:1], "decided": {"note": {"leave_out": True}}})
            case ["runs"]:
                return httpx.Response(200, json={"items": self.runs})
            case ["quarantine", "requests", "r1"]:
                refusals = (
                    [{"detail": "it [red]does not[/] fit", "rows": self.refused, "example": "0-7"}]
                    if self.refused
                    else []
                )
                done = {"resubmitted": 3 - self.refused, "discarded": 0, "refused": self.refused, "refusals": refusals}
                return httpx.Response(200, json={"request": "r1", **done})
            case ["quarantine", "0-7"]:
                return httpx.Response(200, json={**row, "acts": self.acts})
            case ["rows" | "quarantine", place, "test"]:
                self.asked.append((place, {"clear": request.url.params.get_list("clear")}))
                return httpx.Response(200, json=self.made_test)
            case ["rows", place, "passport"]:
                found = [each for each in self.passports if each["id"] == place]
                return httpx.Response(200, json=found[0]) if found else problem(404, "Not found", f"No {place}.")
            case ["tail"]:
                limit = int(request.url.params["limit"])
                return httpx.Response(200, json={"items": self.records[-limit:]})
            case _:
                return problem(404, "Not found", f"No {'/'.join(rest)} in {name}.")

    def _ledger(self, name: str) -> dict[str, Any]:
        look = self.looks[name] = min(self.looks.get(name, 0) + 1, self.steps)
        settled = look == self.steps
        done = ROWS * look // self.steps
        set_aside = 10 if settled else 0
        books = {
            "read": ROWS,
            "loaded": done - 2 * set_aside - self.residue,
            "filtered": {"no_departure": set_aside} if settled else {},
            "quarantined": {"check_references": set_aside} if settled else {},
            "in_flight": ROWS - done,
            "residue": self.residue,
            "hashes_agree": True if settled else None,
        }
        return {"dataset": name, "settled": settled, **books, "partitions": [{"partition": 0, **books}], "stages": []}
