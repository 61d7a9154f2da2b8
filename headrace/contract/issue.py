"""One broken rule, before it is known where in the file it stands."""

from dataclasses import dataclass, replace

from pydantic_core import InitErrorDetails, PydanticCustomError

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Issue:
    """What is wrong at `path`. `line` counts from 1 within a text of several lines; 0 means the value as a whole."""

    path: Path
    found: str
    expected: str
    suggestion: str | None = None
    line: int = 0

    def under(self, path: Path) -> "Issue":
        return replace(self, path=(*path, *self.path))

    def as_error(self) -> InitErrorDetails:
        """The issue as one of pydantic's errors; `headrace.contract.problems` reads it back."""
        message = "found {found}, expected {expected}"
        context = {
            "found": self.found,
            "expected": self.expected,
            "suggestion": self.suggestion or "",
            "line": self.line,
        }
        return InitErrorDetails(type=PydanticCustomError("rule", message, context), loc=self.path, input=None)
