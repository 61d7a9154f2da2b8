"""Writes the API's description, and tells what in it would break clients: `python -m services.gateway.openapi --help`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from services.gateway.adapters.http.app import create_app
from services.gateway.core.api_changes import breaches, essence

TARGET: Final = Path("docs/reference/openapi.json")
BASELINE: Final = Path("schemas/openapi-baseline.json")


def main() -> int:
    """Write the file, or do what the options say. Returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    act = options.add_mutually_exclusive_group()
    act.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file is out of date")
    act.add_argument(
        "--breaking",
        type=Path,
        metavar="OLD",
        help="write nothing; exit 1 when clients of this description would break",
    )
    act.add_argument(
        "--move-baseline",
        action="store_true",
        help=f"write what clients may rely on from now on to {BASELINE}: with a release, or to break them on purpose",
    )
    options.add_argument("--target", type=Path, default=TARGET, help=f"the file (default: {TARGET})")
    chosen = options.parse_args()
    document = create_app().openapi()
    if chosen.breaking is not None:
        return _breaking(chosen.breaking, document)
    if chosen.move_baseline:
        return _write(BASELINE, _text(essence(document)))
    if not chosen.check:
        return _write(chosen.target, _text(document))
    if chosen.target.exists() and chosen.target.read_text() == _text(document):
        return 0
    sys.stderr.write(f"{chosen.target} is out of date: run python -m services.gateway.openapi\n")
    return 1


def _breaking(old: Path, document: dict[str, Any]) -> int:
    found = breaches(json.loads(old.read_text()), document)
    for breach in found:
        sys.stderr.write(f"{breach}\n")
    if found:
        sys.stderr.write(
            f"Clients written for {old} would break. Keep what they rely on beside the new; or, to break them on purpose, say so "
            "in CHANGELOG.md under Changed, and run: python -m services.gateway.openapi --move-baseline\n"
        )
    return 1 if found else 0


def _write(target: Path, text: str) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return 0


def _text(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
