"""What a person sees while rows are on their way: bars on a terminal and in a notebook, on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from headrace.client.results import Ledger


class Figures(NamedTuple):
    """How far something is. `total` is None while nobody knows."""

    done: int
    total: int | None
    text: str


def of_ledger(ledger: Ledger) -> Figures:
    """How far a dataset is."""
    return Figures(
        done=ledger.settled_rows or int(ledger.settled),
        # A source that has shown nothing yet has no known end.
        total=ledger.read or (1 if ledger.settled else None),
        text=f"{ledger.loaded:,} loaded of {ledger.read:,} read",
    )


@contextmanager
def settling(console: Console | None = None) -> Iterator[Callable[[Ledger], None]]:
    """Show datasets until they have settled. In a notebook bars want `ipywidgets`, as rich says."""
    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), BarColumn())
    shown = Progress(
        *columns, TextColumn("{task.fields[rows]}"), TimeElapsedColumn(), console=console or Console(stderr=True)
    )
    tasks: dict[str, TaskID] = {}

    def tell(ledger: Ledger) -> None:
        figures = of_ledger(ledger)
        if ledger.dataset not in tasks:
            tasks[ledger.dataset] = shown.add_task(escape(ledger.dataset), total=None, rows="")
        shown.update(tasks[ledger.dataset], total=figures.total, completed=figures.done, rows=figures.text)

    with shown:
        yield tell
