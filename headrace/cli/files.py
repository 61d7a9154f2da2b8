"""How the program reads and writes files that a user names; `-` stands for standard input and output."""

import sys
from pathlib import Path
from typing import Final

from headrace.cli.render import note, safe
from headrace.errors import HeadraceError

STANDARD: Final = Path("-")


def text_of(path: Path) -> tuple[str, str]:
    """What to call a file, and its text. Errors: HeadraceError when it cannot be read."""
    origin = "<stdin>" if path == STANDARD else str(path)
    try:
        return origin, sys.stdin.read() if path == STANDARD else path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise HeadraceError(f"{origin}: not a text file in UTF-8 (byte {error.start}).") from error
    except OSError as error:
        raise HeadraceError(f"{origin}: cannot be read: {error.strerror}.") from error


def write(path: Path, text: str, *, force: bool) -> None:
    """Write a file that is not there yet. Errors: HeadraceError when it is, or cannot be written."""
    if path == STANDARD:
        sys.stdout.write(text)
        return
    if path.exists() and not force:
        raise HeadraceError(f"{path} is there already. Choose another place with --out, or overwrite it with --force.")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HeadraceError(f"{path}: cannot be written: {error.strerror}.") from error
    note(f"[green]✓[/] wrote {safe(path)}")
