"""How the program reads and writes files that a user names; `-` stands for standard input and output."""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
    if path == STANDARD:
        sys.stdout.write(text)
        return
    check_place(path, force)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error
    note(f"[green]✓[/] wrote {safe(path)}")


def write_lines(path: Path, lines: Iterable[str], *, force: bool) -> int:
    """Write a file that is not there yet, as its lines come; it is there when all of them are. Returns how many.

    Errors: HeadraceError when it is there, or cannot be written; whatever `lines` raises.
    """
    if path == STANDARD:
        return _written(sys.stdout, lines)
    check_place(path, force)
    try:
        if path.exists() and not path.is_file():  # a pipe, a device
            with path.open("w", encoding="utf-8") as file:
                return _written(file, lines)
        return _replaced(path.resolve(), lines)
    except OSError as error:
        raise _unwritable(path, error) from error


def write_pieces(path: Path, pieces: Iterable[bytes], *, force: bool) -> None:
    """Write bytes as `write_lines` writes lines. Errors: as there."""
    if path == STANDARD:
        sys.stdout.buffer.writelines(pieces)
        return
    check_place(path, force)
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                file.writelines(pieces)
            return
        with _beside(path.resolve()) as begun, begun.open("wb") as file:
            file.writelines(pieces)
    except OSError as error:
        raise _unwritable(path, error) from error


def _replaced(path: Path, lines: Iterable[str]) -> int:
    with _beside(path) as begun, begun.open("w", encoding="utf-8") as file:
        return _written(file, lines)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A file beside the place to write to; it is put there at the end, with the rights of what was there."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".headrace-")
    os.close(number)
    begun = Path(name)
    try:
        yield begun
        if path.exists():
            begun.chmod(path.stat().st_mode)
        begun.replace(path)
    finally:
        begun.unlink(missing_ok=True)
    note(f"[green]✓[/] wrote {safe(path)}")


def _written(file: TextIO, lines: Iterable[str]) -> int:
    count = 0
    for line in lines:
        file.write(line)
        count += 1
    return count


def check_place(path: Path, force: bool) -> None:
    """Errors: HeadraceError when a file is there that is not to be overwritten."""
    if path.exists() and not force:
        raise HeadraceError(f"{path} is there already. Choose another place with --out, or overwrite it with --force.")


def _unwritable(path: Path, error: OSError) -> HeadraceError:
    return HeadraceError(f"{path}: cannot be written: {error.strerror}.")
