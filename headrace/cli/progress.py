"""How long work shows that it moves: bars on a terminal, a line for each event elsewhere. Always on stderr."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from headrace.cli.render import console, count, note, safe
from headrace.client import Ledger


class _Board:
    """A live display with a row for each thing that is worked on."""

    def __init__(self, *columns: ProgressColumn) -> None:
        out = console(err=True)
        self.live = out.is_terminal
        self.progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            *columns,
            console=out,
            disable=not self.live,
        )
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()


class ComponentBoard(_Board):
    """The components of the local stack as they come and go."""

    _SETTLED: Final = ("ready", "already running", "stopped", "killed")

    def __init__(self) -> None:
        super().__init__(TextColumn("{task.fields[what]}"), TimeElapsedColumn())

    def update(self, component: str, what: str) -> None:
        """Something happens to a component."""
        if not self.live:
            note(f"{safe(component)}: {safe(what)}")
            return
        if component not in self.tasks:
            self.tasks[component] = self.progress.add_task(safe(component), total=1, what="")
        done = int(what.startswith(self._SETTLED))
        self.progress.update(self.tasks[component], what=safe(what), completed=done)


class ByteBoard(_Board):
    """One download. `of` is how many bytes it has, where that is known."""

    def __init__(self, what: str, of: int | None = None) -> None:
        super().__init__(BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn())
        self._task = self.progress.add_task(safe(what), total=of)
        self.size_bytes = 0

    def passed(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces, counted as they pass."""
        for piece in pieces:
            self.size_bytes += len(piece)
            self.progress.update(self._task, completed=self.size_bytes)
            yield piece


class WorkBoard(_Board):
    """One piece of work that counts rows."""

    def __init__(self, what: str) -> None:
        super().__init__(BarColumn(), TextColumn("{task.fields[rows]}", justify="right"), TimeElapsedColumn())
        self._task = self.progress.add_task(safe(what), total=None, rows="")

    def update(self, rows: int, of: int) -> None:
        """So many rows are done."""
        self.progress.update(self._task, completed=rows, total=of, rows=f"{rows:,} of {of:,}")


class LoadBoard(_Board):
    """Datasets on their way to the warehouse: rows that reached their fate, of rows read."""

    def __init__(self) -> None:
        super().__init__(BarColumn(), TextColumn("{task.fields[rows]}", justify="right"), TimeElapsedColumn())
        self._done: set[str] = set()

    def begin(self, dataset: str, what: str) -> None:
        """A dataset joins. `what` is what happened to it."""
        self.tasks[dataset] = self.progress.add_task(safe(dataset), total=None, rows=what)
        if not self.live:
            note(f"{safe(dataset)}: {safe(what)}")

    def update(self, ledger: Ledger) -> None:
        """New figures of a dataset that has joined."""
        rows = f"{ledger.loaded:,} loaded of {ledger.read:,} read"
        self.progress.update(
            self.tasks[ledger.dataset],
            # A source that has shown nothing yet has no known end.
            total=ledger.read or (1 if ledger.settled else None),
            completed=ledger.settled_rows or int(ledger.settled),
            rows=rows,
        )
        if ledger.settled and ledger.dataset not in self._done:
            self._done.add(ledger.dataset)
            if not self.live:
                note(f"{safe(ledger.dataset)}: settled, {rows}{_set_aside(ledger)}")


def _set_aside(ledger: Ledger) -> str:
    parts = [
        f", {count(rows, 'row')} {fate}"
        for fate, rows in (("filtered", ledger.filtered_rows), ("quarantined", ledger.quarantined_rows))
        if rows
    ]
    return "".join(parts)
