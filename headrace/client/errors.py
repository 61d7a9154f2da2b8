"""What a call to the gateway can end in, besides a result.

HeadraceError
├── ApiError          the gateway answered, and the answer is no
├── BrokenOff         an answer that came in parts has no proper end
├── Stopped           a service has given a dataset up, so that waiting would not help
└── Transient
    ├── Unreachable   nobody answered, or not in time
    └── NotSettled    a dataset was still moving when the caller's patience ended
"""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.errors import HeadraceError, Transient


class ApiError(HeadraceError):
    """A problem the gateway reports. Source: RFC 9457 (problem+json).

    `problems` lists every single fault where there are several, as an invalid dataset file has.
    """

    def __init__(
        self, status: int, title: str, detail: str = "", problems: Sequence[Mapping[str, Any]] = (), where: str = ""
    ) -> None:
        self.status = status
        self.title = title
        self.detail = detail
        self.problems = tuple(problems)
        self.where = where
        super().__init__(f"{title}: {detail}" if detail else title)


class BrokenOff(HeadraceError):
    """What came of an answer is not whole."""


class Stopped(HeadraceError):
    """A service has stopped working on a dataset."""


class Unreachable(Transient):
    """No gateway answered at this address."""


class NotSettled(Transient):
    """A dataset did not come to rest in time."""
