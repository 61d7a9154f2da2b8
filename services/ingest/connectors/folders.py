"""Which local files a source may read: those below the folders that ingest was given."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import Fatal


@dataclass(frozen=True, slots=True)
class Folders:
    """Where relative paths start, and the further folders that may be read."""

    root: Path
    further: Sequence[Path] = ()

    def check(self, path: Path) -> None:
        """Errors: Fatal when a path, or what it links to, lies elsewhere. What is there at all is not to be found out either."""
        allowed = [each.absolute() for each in (self.root, *self.further)]
        self._refuse_outside(path, path.absolute(), allowed)
        self._refuse_outside(path, path.resolve(), [each.resolve() for each in allowed])

    def _refuse_outside(self, given: Path, path: Path, allowed: Sequence[Path]) -> None:
        if ".." in path.parts or not any(path.is_relative_to(each) for each in allowed):
            raise Fatal(
                f"{given} lies outside of the folders that may be read; move it below HEADRACE_SOURCE_DIR ({self.root}), "
                "or name its folder in HEADRACE_SOURCE_ROOTS"
            )
