"""Writes the references of reason codes, events and metrics from the code that defines them.

`python -m headrace.stream.generate` writes them, `--check` says whether they are up to date.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from headrace.stream import metrics
from headrace.stream.events import EVENTS, INCIDENTS
from headrace.stream.reasons import REASONS

_FOLDER: Final = Path(__file__).parents[2] / "docs" / "reference"
_SUFFIX: Final = {"counter": "_total"}  # as it is scraped


def references() -> dict[str, str]:
    """File name -> text."""
    reasons = ((f"`{reason.code}`", reason.text, reason.remedy) for reason in REASONS.values())
    events = ((f"`{kind.code}`", kind.text) for kind in EVENTS.values())
    incidents = ((f"`{kind.code}`", kind.text, kind.remedy) for kind in INCIDENTS.values())
    found = (value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase))
    described = (
        (f"`{metric.name}{_SUFFIX.get(metric.type, '')}`", metric.type, metric.documentation)
        for metric in (next(iter(wrapper.describe())) for wrapper in found)
    )
    return {
        "reasons.md": _page("Why a row can be quarantined", ("code", "what it means", "what to do"), reasons),
        "events.md": _page("Events", ("type", "what happened"), events)
        + "\n"
        + _page("Incidents", ("type", "what happened", "what to do"), incidents),
        "metrics.md": _page("Metrics of the data plane", ("name", "type", "what it counts"), described),
    }


def _page(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"# {title}", "", _row(head), _row(["---"] * len(head)), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 1 when `--check` finds a difference."""
    code = 0
    for name, text in references().items():
        path = _FOLDER / name
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.stderr.write(f"docs/reference/{name} is not up to date: run `make generate`\n")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
