"""What a benchmark found: rows of {bench, what, value, unit, peer, ratio}, as JSON for machines and Markdown for people."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Finding:
    """One measured value. With a `peer`, `ratio` is ours over the peer's, in the same run; larger is better for us."""

    bench: str
    what: str
    value: float
    unit: str
    peer: str | None = None
    ratio: float | None = None


def machine() -> str:
    """The machine of this run, in one line."""
    memory_gib = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{psutil.cpu_count()} cores, {memory_gib:.0f} GiB, {system}"


def dated(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """The findings as rows, with when and on which machine they were made."""
    at, on = datetime.now(UTC).isoformat(timespec="seconds"), machine()
    return [{**asdict(finding), "at": at, "machine": on} for finding in findings]


def write(findings: Sequence[Finding], folder: Path) -> None:
    """Write `results.json` and `results.md`. What benches found that were not run this time is kept, with its date."""
    path = folder / "results.json"
    known = json.loads(path.read_text()) if path.exists() else []
    ran = {finding.bench for finding in findings}
    rows = [row for row in known if row["bench"] not in ran] + dated(findings)
    path.write_text(json.dumps(rows, indent=2) + "\n")
    (folder / "results.md").write_text(markdown(rows))


def markdown(rows: Sequence[dict[str, object]]) -> str:
    """The findings as tables, one for each bench."""
    lines = [
        "# Benchmark results",
        "",
        "Written by `make bench`. Ratios are ours over the peer's in the same run; above 1 we are better.",
    ]
    for bench in dict.fromkeys(row["bench"] for row in rows):
        mine = [row for row in rows if row["bench"] == bench]
        lines += ["", f"## {bench}", "", f"{mine[0]['at']}, {mine[0]['machine']}", ""]
        lines += ["| what | value | unit | beside | ratio |", "| --- | ---: | --- | --- | ---: |"]
        for row in mine:
            ratio = f"{row['ratio']:.2f}" if isinstance(row["ratio"], float) else ""
            value = f"{row['value']:,.0f}" if float(str(row["value"])) >= 100 else f"{float(str(row['value'])):.2f}"
            lines.append(f"| {row['what']} | {value} | {row['unit']} | {row['peer'] or ''} | {ratio} |")
    return "\n".join(lines) + "\n"
