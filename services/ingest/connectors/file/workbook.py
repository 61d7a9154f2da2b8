"""Reads one sheet of a workbook in a process of its own: what a hostile file can take is bounded, and its crash is not ours.

    python workbook.py SHEET HEADER_ROW MEMORY_BYTES < workbook > rows

Writes a line with the names of the columns, then a line for each row that is not empty: its number, and its values, all
as JSON. HEADER_ROW 0 is the first row that is not empty. Exits with 3 and a message when the workbook cannot be read.
"""

import datetime
import io
import json
import resource
import sys
from typing import Any, Final

_CPU_S: Final = 300
_OWN_BYTES: Final = 256 << 20  # what the interpreter maps before it has read anything


def main(sheet: str, header_row: int, memory_bytes: int) -> None:
    """See the module. Errors: LookupError, those of calamine, MemoryError."""
    from python_calamine import CalamineWorkbook

    content = io.BytesIO(sys.stdin.buffer.read())
    limit = _OWN_BYTES + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    workbook = CalamineWorkbook.from_filelike(content)
    names = workbook.sheet_names
    if not names or (sheet and sheet not in names):
        raise LookupError(f"it has no sheet {sheet!r}; it has {', '.join(map(repr, names)) or 'none'}")
    rows = enumerate(workbook.get_sheet_by_name(sheet or names[0]).iter_rows(), start=1)
    out = sys.stdout
    for number, row in rows:
        if number == header_row or (not header_row and any(cell != "" for cell in row)):
            out.write(json.dumps([cell if isinstance(cell, str) else str(_plain(cell)) for cell in row]) + "\n")
            break
    for number, row in rows:
        if any(cell != "" for cell in row):
            out.write(json.dumps([number, *map(_plain, row)]) + "\n")


def _plain(cell: Any) -> Any:
    """A cell as a JSON scalar; None when it is empty. A number without a fraction is an integer: sheets have no others."""
    match cell:
        case "":
            return None
        case float():
            if cell != cell or cell in (float("inf"), float("-inf")):
                return str(cell)
            return int(cell) if cell.is_integer() and abs(cell) < 2**53 else cell
        case bool() | str() | int():
            return cell
        case datetime.timedelta():
            return cell.total_seconds()
        case datetime.datetime() | datetime.date() | datetime.time():
            return cell.isoformat()
    return str(cell)


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    except MemoryError:
        sys.exit(4)
    except Exception as error:
        sys.stderr.write(f"{error}"[:1000])
        sys.exit(3)
