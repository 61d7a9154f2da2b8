"""`make bench`: measures against others in the same run, on a stack of its own, and writes bench/results.{md,json}."""

import argparse
import sys
from pathlib import Path

from bench import checks, connectors, end_to_end, exports, references, replay, report, stage
from deploy.local import stack as local
from tests.stack import running

HERE = Path(__file__).parent


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--only",
        choices=("stage", "connectors", "checks", "references", "replay", "exports", "end-to-end"),
        help="one of the benches",
    )
    parser.add_argument(
        "--only-runner",
        nargs="+",
        metavar="PART",
        help="the stage bench with runners so named; prints, and writes nothing",
    )
    parser.add_argument(
        "--only-source",
        nargs="+",
        metavar="PART",
        help="the connectors' bench with sources so named; prints, and writes nothing",
    )
    parser.add_argument("--source-rows", type=int, default=200_000, help="rows of each source of the connectors' bench")
    parser.add_argument("--stage-rows", type=int, default=6_000_000, help="orders in the topic of the stage bench")
    parser.add_argument("--check-rows", type=int, default=1_000_000, help="rows with and without checks")
    parser.add_argument(
        "--reference-rows", type=int, default=5_000_000, help="rows of the large table that is referred to"
    )
    parser.add_argument(
        "--replay-rows", type=int, default=2_000_000, help="rows that are replayed beside a live stream"
    )
    parser.add_argument("--export-rows", type=int, default=10_000_000, help="rows that are exported")
    parser.add_argument(
        "--flow-rows", type=int, nargs="+", default=[100_000, 1_000_000, 3_000_000], help="sizes of the end-to-end runs"
    )
    parser.add_argument("--latency-seconds", type=float, default=30.0, help="how long to send 1,000 rows a second")
    chosen = parser.parse_args()
    if chosen.only_runner:
        with running(("kafka", "registry")) as stack:
            found = stage.run(stack.bootstrap_servers, stack.registry_url, chosen.stage_rows, chosen.only_runner)
        sys.stdout.write(report.markdown(report.dated(found)))
        return 0
    if chosen.only_source:
        with running(("kafka", "registry")) as stack:
            found = connectors.run(stack.bootstrap_servers, stack.registry_url, chosen.source_rows, chosen.only_source)
        sys.stdout.write(report.markdown(report.dated(found)))
        return 0
    findings: list[report.Finding] = []
    if chosen.only in (None, "connectors"):
        with running(("kafka", "registry")) as stack:
            findings += connectors.run(stack.bootstrap_servers, stack.registry_url, chosen.source_rows)
        report.write(findings, HERE)
    if chosen.only in (None, "stage"):
        with running(("kafka", "registry")) as stack:
            findings += stage.run(stack.bootstrap_servers, stack.registry_url, chosen.stage_rows)
        report.write(findings, HERE)
    if chosen.only in (None, "checks"):
        with running(local.COMPONENTS) as stack:
            findings += checks.run(stack, chosen.check_rows)
        report.write(findings, HERE)
    if chosen.only in (None, "references"):
        findings += references.run(chosen.reference_rows)
        report.write(findings, HERE)
    if chosen.only in (None, "replay"):
        with running(local.COMPONENTS) as stack:
            findings += replay.run(stack, chosen.replay_rows, chosen.latency_seconds)
        report.write(findings, HERE)
    if chosen.only in (None, "exports"):
        findings += exports.run(chosen.export_rows)
        report.write(findings, HERE)
    if chosen.only in (None, "end-to-end"):
        with running(local.COMPONENTS) as stack:
            findings += end_to_end.run(stack, chosen.flow_rows, chosen.latency_seconds)
    report.write(findings, HERE)
    sys.stdout.write((HERE / "results.md").read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
