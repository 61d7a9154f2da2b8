"""What every place where files are can do: list them, open one, and say what is wrong when it cannot."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO, Protocol

from headrace.connector import Step
from headrace.errors import Fatal


class AtFault(Fatal):
    """A person has to act, on one setting. `field` is its path in the dataset file, `step` what a check was at."""

    def __init__(self, message: str, field: str, remedy: str = "", step: str = "") -> None:
        super().__init__(f"{message} ({field}{f': {remedy}' if remedy else ''})")
        self.message = message
        self.field = field
        self.remedy = remedy
        self.step = step


@dataclass(frozen=True, slots=True)
class Found:
    """A file as its storage has it. Units: bytes, seconds since 1970.

    `key` is what it is called in positions, `shown` what people are told. `hint` changes with the content,
    as far as the storage can tell.
    """

    path: str
    key: str
    shown: str
    size: int
    modified: float | None
    hint: str


class Storage(Protocol):
    """Where the files of a source are."""

    @property
    def shown(self) -> str:
        """The file or pattern, as people are told."""
        ...

    @property
    def atomic(self) -> bool:
        """Whether a file is there as a whole, or not at all."""
        ...

    @property
    def local(self) -> bool:
        """Whether reading anywhere in a file is cheap."""
        ...

    @property
    def lists(self) -> bool:
        """Whether it can say which files there are."""
        ...

    def connecting(self) -> Iterator[Step]:
        """Reach the storage, step by step. Errors: Transient, Fatal (`AtFault`)."""
        ...

    def files(self) -> list[Found]:
        """The files there are now, by path. Errors: Transient, Fatal."""
        ...

    def look(self, found: Found) -> Found:
        """A file as it is now. Errors: FileNotFoundError, Transient, Fatal."""
        ...

    def open(self, found: Found) -> IO[bytes]:
        """Its bytes, from which one can read anywhere. Errors: those that `failures` knows."""
        ...

    def failures(self, shown: str) -> AbstractContextManager[None]:
        """Within this, what goes wrong with a file becomes Transient or Fatal."""
        ...
