"""Logs as JSON lines: one object a line, so that a person can grep and a machine can read."""

import atexit
import json
import logging
import os
import sys
from datetime import UTC, datetime

_KNOWN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}


#: Libraries that tell of every request at level info.
_CHATTY = ("httpx", "httpx2", "httpcore", "pyiceberg")


class JsonLines(logging.Formatter):
    """Formats a record with its time (UTC), level, service, logger, message, what `extra=` gave, and the traceback."""

    def __init__(self, service: str, instance: str) -> None:
        super().__init__()
        self._fixed = {"service": service, "instance": instance}

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            **self._fixed,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in record.__dict__.items() if name not in _KNOWN},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(service: str, instance: str, level: str) -> None:
    """Send every log of this process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service, instance))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    atexit.register(_end)  # before whatever else is registered, so after it


def _end() -> None:
    """Let libraries say nothing more: DuckDB's bindings list, in lines that are not JSON, what a daemon thread still held."""
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
