"""Every exception Headrace raises on purpose.

HeadraceError
├── ContractError        the dataset file is wrong: every problem at once, for the person who wrote it
├── Held                 a row waits for a person's decision: nothing behind it may be committed
├── Transient            infrastructure failed in a way that passes: rewind, wait, try again
└── Fatal                going on would break a guarantee, or can never succeed
    └── Fenced           another instance has taken this work over

Bad *data* is never an exception: it is a row with a registered reason (`headrace.stream.reasons`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


class HeadraceError(Exception):
    """Base of everything raised on purpose. The message says what happened, where, and what to do next."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a dataset file. Units: line and column count from 1; 0 when there is no file to point into."""

    line: int
    column: int
    path: str
    found: str
    expected: str
    suggestion: str | None = None

    def __str__(self) -> str:
        place = f"{self.line}:{self.column}: " if self.line else ""
        subject = f"{self.path}: " if self.path else ""
        hint = f" Did you mean {self.suggestion}?" if self.suggestion else ""
        return f"{place}{subject}found {self.found}, expected {self.expected}.{hint}"


class ContractError(HeadraceError):
    """The dataset file is wrong. Carries every problem at once, in the order of the file."""

    def __init__(self, problems: Iterable[Problem], origin: str = "<text>") -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.line, problem.column, problem.path))
        self.origin = origin
        super().__init__(self.problems, origin)

    def __str__(self) -> str:
        count = len(self.problems)
        heading = f"{self.origin}: {count} problem{'s' if count != 1 else ''}"
        return "\n".join([heading, *(f"  {problem}" for problem in self.problems)])


class Held(HeadraceError):
    """A row waits for a decision: its dataset is stopped on purpose. `about` says which row, and why, as plain JSON."""

    def __init__(self, message: str, about: Mapping[str, str | int]) -> None:
        self.about = dict(about)
        super().__init__(message)


class Transient(HeadraceError):
    """Broken infrastructure that is expected to heal: the caller rewinds and retries with backoff."""


class Fatal(HeadraceError):
    """The work cannot go on safely: the dataset is paused with an incident, or the process exits non-zero."""


class Fenced(Fatal):
    """A newer owner holds this work; the holder of this error must stop without writing anything more."""
