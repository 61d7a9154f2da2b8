"""How the program reads and writes files that a user names; `-` stands for standard input and output."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TextIO

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
    write_lines(path, [text], force=force)


def write_lines(path: Path, lines: Iterable[str], *, force: bool) -> int:
    """Write a file that is not there yet, as its lines come; it is there when all are. Returns how many.

    Errors: HeadraceError when it is there, or cannot be written; whatever `lines` raises.
    """
    if path == STANDARD:
        return _written(sys.stdout, lines)
    if path.exists() and not force:
        raise HeadraceError(f"{path} is there already. Choose another place with --out, or overwrite it with --force.")
    begun = path.with_name(f".{path.name}.part") if path.is_file() or not path.exists() else path  # a pipe, a device
    try:
        with begun.open("w", encoding="utf-8") as file:
            count = _written(file, lines)
        if begun != path:
            begun.replace(path)
    except OSError as error:
        raise HeadraceError(f"{path}: cannot be written: {error.strerror}.") from error
    finally:
        if begun != path:
            begun.unlink(missing_ok=True)
    note(f"[green]✓[/] wrote {safe(path)}")
    return count


def _written(file: TextIO, lines: Iterable[str]) -> int:
    count = 0
    for line in lines:
        file.write(line)
        count += 1
    return count
