"""An engine in a process of its own: whatever SQL does there, its memory and its time end, and nobody else notices.

DuckDB looks at its own limits between batches of values. Within one call of a function over a long text it does not, and what
such a call takes is not counted: what ends it then is the end of its process.
"""

import contextlib
import ctypes
import logging
import math
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Iterable, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pydantic import ByteSize, TypeAdapter, ValidationError

from headrace.errors import Fatal, Fenced, Transient
from headrace.transform.engine import MEMORY, QUERY_LIMIT_S, Engine, Step
from headrace.transform.isolate import RowError, TooCostly
from headrace.transform.store import Occupied, Store, Unreadable
from headrace.transform.wire import Box, Wire, packed, unpacked

log = logging.getLogger(__name__)

#: What a process may take beside DuckDB's own limit: results as Arrow, and what functions use that DuckDB does not count.
_BESIDE_BYTES: Final = 1 << 30
#: How often it is looked how much memory a process has.
_LOOK_S: Final = 0.05
#: After DuckDB was asked to stop, how long it has until its process is ended.
_GRACE_S: Final = 2.0
#: The end of a process counts as so long at least, so that rows of which each ends one do not go on for ever.
_DEATH_S: Final = 5.0
#: How a process ends when everything is being stopped; 255 is said where the one that forks is gone.
_STOPPED: Final = (-signal.SIGTERM, 255, None)
#: How a process ends in which DuckDB stumbles over what it reads.
_CRASHED: Final = frozenset({-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL})
#: How long it is waited for a process that has the store open: one that was killed with its parent is gone sooner.
_OCCUPIED_S: Final = 3.0
_PR_SET_PDEATHSIG: Final = 1

#: Whoever starts a process looks at all others that this one has started, and how one ended can be read once: who reads second
#: is told 255, or reads from whatever has the number of that file by then.
_POLLING: Final = threading.Lock()

_PROCESSES: Final = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["headrace.transform.sandboxes"])


class Sandbox(Engine):
    """See `Engine`. Used by one thread at a time."""

    def __init__(
        self,
        memory_limit: str = MEMORY,
        query_limit_s: float = QUERY_LIMIT_S,
        beside_bytes: int = _BESIDE_BYTES,
        store: Store | None = None,
    ) -> None:
        """`beside_bytes` is what its process may take beside `memory_limit`. Without a `store` it keeps no tables.

        What is in the store and cannot be read is thrown away. Where another process has it open, what is kept is passing.
        Errors: Fenced when there is no process to be had now, Fatal when the store cannot be used at all.
        """
        self._limits = (memory_limit if store is None else _without_uncounted(memory_limit), query_limit_s)
        self._most_bytes = _bytes_of(memory_limit) + beside_bytes
        self.query_limit_s = query_limit_s
        self._store = store
        self._defined: list[str] = []
        self._process: ForkServerProcess | None = None
        self._begins = store is not None  # whether a process has yet to show that it can be had at all
        try:
            self._start()
            if store is not None:
                self._open()
        except BaseException:
            self.close()
            raise
        self._begins = False

    def define(self, statements: Iterable[str]) -> None:
        """See `Engine.define`."""
        defined = list(statements)
        self._ask("define", defined)
        self._defined += defined

    def load(self, *steps: Step) -> None:
        """See `Engine.load`. Errors: Transient, when the process was ended meanwhile: all of it is there, or none."""
        assert self._store is not None  # what a process keeps in memory would be gone with it
        try:
            self._ask("load", *steps)
        except TooCostly as error:
            raise Transient(f"reference data was not kept, and is read on: {error}") from error

    def query(self, sql: str, rows: pa.RecordBatch, most_s: float = math.inf) -> pa.RecordBatch:
        """See `Engine.query`.

        Errors: TooCostly, also when the process had to be ended: what is kept is there again. Fenced when it was told to end:
        whoever asks has to begin again.
        """
        most_s = min(most_s, self.query_limit_s)
        found: pa.RecordBatch = self._ask("query", sql, rows, most_s, patience_s=most_s + _GRACE_S)
        return found

    def produced(self, sql: str, rows: pa.Schema) -> Sequence[tuple[str, str]]:
        """See `Engine.produced`. Errors: also those of `query`."""
        patience_s = self.query_limit_s + _GRACE_S
        found: list[tuple[str, str]] = self._ask("produced", sql, rows, patience_s=patience_s)
        return found

    def close(self) -> None:
        """End the process. What is kept and not passing stays."""
        self._end()
        if self._store is not None and self._store.passing:
            self._store.discard()

    def _open(self) -> bool:
        """See that what is kept can be read, or keep it anew. Returns whether it is as it was. Errors: Fenced, Fatal."""
        until, same = time.monotonic() + _OCCUPIED_S, True
        while True:
            try:
                self._ask("define", self._defined)
                return same
            except Unreadable as error:
                if not same:
                    raise
                self._throw_away(error)
                same = False
            except Occupied as error:
                if time.monotonic() > until:
                    self._step_aside(error)
                    same = False
                time.sleep(_LOOK_S)
            self._end()
            self._start()

    def _throw_away(self, error: Unreadable) -> None:
        assert self._store is not None
        log.warning("reference data in %s cannot be read, and is kept anew: %s", self._store.folder, error)
        self._store.discard()

    def _step_aside(self, error: Occupied) -> None:
        assert self._store is not None
        log.warning("reference data in %s is in use, and is kept beside it for now: %s", self._store.folder, error)
        self._store = Store.aside(self._store.folder.parent, self._store.spill)

    def _end(self) -> None:
        if self._process is not None:
            self._wire.close()
            self._process.kill()
            _exit_code(self._process)
            with _POLLING:
                self._process.close()
            self._process = None

    def _start(self) -> None:
        """Errors: Fenced when there is no process to be had now: whoever asks has to begin again."""
        try:
            ours, theirs = _PROCESSES.Pipe()
            asked, answered = Box.new(), Box.new()
            self._wire = Wire(ours, answered, asked)
            process = _PROCESSES.Process(
                target=_serve, args=(Wire(theirs, asked, answered), *self._limits, self._store), daemon=True
            )
            with _POLLING:
                process.start()
        except (OSError, EOFError) as error:  # too many files, or the one that forks has just ended
            raise Fenced(f"no process can be started that computes the SQL: {error}") from error
        self._process = process
        theirs.close()

    def _ask(self, act: str, *arguments: Any, patience_s: float = math.inf) -> Any:
        began = time.monotonic()
        try:
            self._wire.send(packed((act, *arguments)))
            kind = self._waited(began + patience_s)
            kind, *found = unpacked(self._wire.received()) if kind == "here" else (kind,)
        except (EOFError, OSError):
            kind, found = "gone", []
        if kind in ("slow", "large", "gone"):
            raise self._ended(kind, time.monotonic() - began, patience_s - _GRACE_S)
        if kind == "failed":
            raise found[0]
        return found[0]

    def _waited(self, until: float) -> str:
        """Wait for an answer for as long as the process takes no more than it may: here, slow or large. Errors: OSError."""
        while not self._wire.poll(_LOOK_S):
            if time.monotonic() > until:
                return "slow"
            if self._size_bytes() > self._most_bytes:
                return "large"
        return "here"

    def _size_bytes(self) -> int:
        """The memory that the process has; 0 where there is no telling."""
        assert self._process is not None
        try:
            told = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii")
            return int(told.split()[1]) * resource.getpagesize()
        except (OSError, IndexError):
            return 0

    def _ended(self, kind: str, took_s: float, most_s: float) -> Exception:
        """End the process and say what is to be thought of it. Another takes its place, with all that was defined and kept.

        Errors: Fenced, where that is not to be had.
        """
        assert self._process is not None
        code = _exit_code(self._process, _GRACE_S if kind == "gone" else 0)
        self._end()
        if kind == "gone" and code in _STOPPED:
            return Fenced("the process that computed the SQL was told to stop")
        told = {
            "slow": f"the SQL takes longer than {most_s:g} s, in a function that does not stop when asked to",
            "large": f"the SQL takes more memory than it may: {self._most_bytes / 1e6:,.0f} MB in all",
            "gone": f"the process that computed the SQL was ended ({_cause(code)})",
        }[kind]
        if self._begins:
            if self._store is not None and code in _CRASHED:
                return Unreadable(told)
            kind_of = Fenced if kind == "gone" and code is not None and code < 0 else Fatal
            return kind_of(f"no process can be had that computes the SQL: {told}; see the log")
        self._begins = True
        self._start()
        if not self._open():
            return Fenced(f"what was kept is not there any more: {told}")
        self._begins = False
        return TooCostly(told, max(took_s, _DEATH_S))


def _exit_code(process: ForkServerProcess, patience_s: float | None = None) -> int | None:
    """How a process ended; None when it has not, in this time."""
    wait([process.sentinel], patience_s)
    with _POLLING:
        return process.exitcode


def _cause(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


def _serve(wire: Wire, memory_limit: str, query_limit_s: float, store: Store | None) -> None:
    """Do as asked until nobody asks any more."""
    os.setsid()  # who stops a group of processes stops whoever asks, and this ends with that
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(
        OSError, AttributeError
    ):  # Linux: end with the process that forks, which ends with whoever asks
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    engine = _engine(memory_limit, query_limit_s, store)
    with contextlib.suppress(EOFError, OSError):
        while True:
            act, *arguments = unpacked(wire.received())
            wire.send(_answer(engine, act, arguments))


def _engine(memory_limit: str, query_limit_s: float, store: Store | None) -> Engine | Fatal:
    """An engine, or why there is none."""
    try:
        return Engine(memory_limit, query_limit_s=query_limit_s, store=store)
    except Fatal as error:
        return error
    except Exception as error:
        return Fatal(f"DuckDB cannot be started: {error}")


def _answer(engine: Engine | Fatal, act: str, arguments: list[Any]) -> bytes:
    try:
        if isinstance(engine, Fatal):
            raise engine
        return packed(("done", getattr(engine, act)(*arguments)))
    except MemoryError:
        return packed(("failed", TooCostly("the SQL takes more memory than it may", 0.0)))
    except (Fatal, RowError) as error:
        return packed(("failed", error))
    except Exception as error:  # of no row: it would end this process, and be held against the rows
        return packed(("failed", Fatal(f"the SQL failed in an unforeseen way: {type(error).__name__}: {error}")))


def _bytes_of(memory_limit: str) -> float:
    """What DuckDB's way to write a limit comes to; of a share of the machine, such as 80%, nothing is known."""
    try:
        return TypeAdapter(ByteSize).validate_python(memory_limit)
    except ValidationError:
        return math.inf


def _without_uncounted(memory_limit: str) -> str:
    """What is left for DuckDB to count where it keeps tables in a file: it does not count which of their rows were deleted."""
    size_bytes = _bytes_of(memory_limit)
    return memory_limit if size_bytes == math.inf else f"{int(size_bytes * 3 / 4 / 1000)}KB"
