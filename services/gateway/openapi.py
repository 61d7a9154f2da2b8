"""Writes the API's description: `python -m services.gateway.openapi [--check]`."""

import argparse
import json
import sys
from pathlib import Path

from services.gateway.adapters.http.app import create_app

TARGET = Path("docs/reference/openapi.json")


def main() -> int:
    """Write the file, or with --check say whether it is up to date. Returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file is out of date")
    options.add_argument("--target", type=Path, default=TARGET, help=f"the file (default: {TARGET})")
    chosen = options.parse_args()
    text = json.dumps(create_app().openapi(), indent=2, ensure_ascii=False) + "\n"
    if not chosen.check:
        chosen.target.parent.mkdir(parents=True, exist_ok=True)
        chosen.target.write_text(text)
        return 0
    if chosen.target.exists() and chosen.target.read_text() == text:
        return 0
    sys.stderr.write(f"{chosen.target} is out of date: run python -m services.gateway.openapi\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
