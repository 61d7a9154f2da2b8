"""How the end of a log is shown to a person, and when a log is set aside for a new one."""

import json
from pathlib import Path


def last_lines(*logs: Path, lines: int = 12) -> str:
    """The end of the first of the logs that says anything, JSON lines put as plain ones."""
    for log in logs:
        if log.exists() and (text := log.read_text(errors="replace").strip()):
            return "\n".join(readable(line) for line in text.splitlines()[-lines:])
    return ""


def readable(line: str) -> str:
    """Level, message and traceback of a JSON line; any other line as it is."""
    try:
        record = json.loads(line)
        plain = f"{record['level'].lower()}: {record['message']}"
    except (ValueError, TypeError, KeyError, AttributeError):
        return line
    return f"{plain}\n{record['traceback']}" if record.get("traceback") else plain


def turn_over(log: Path, size_bytes: int) -> None:
    """Sets a log aside once it is larger than this; the piece set aside before is given up."""
    if log.exists() and log.stat().st_size > size_bytes:
        log.rename(log.with_name(f"{log.name}.1"))
