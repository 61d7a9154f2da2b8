"""What a call to the gateway can end in, besides a result.

HeadraceError
├── ApiError               the gateway answered, and the answer is no
│   ├── NotSignedIn        401: no token, or one that is not known (any more)
│   ├── NotAllowed         403: the caller may not do this
│   ├── NotFound           404: there is no such thing, or the caller may not see it
│   ├── Conflict           409, 412: as things are it cannot be done
│   ├── Invalid            400, 413, 422: what was sent is wrong; `problems` lists the faults
│   ├── TooManyRequests    429: after `retry_after_s`, if the gateway said so
│   └── GatewayFailed      5xx: the gateway, or something it needs
├── UnexpectedAnswer       an answer that this client cannot read: another program, or another version
├── Stopped                a service has given a dataset up, so that waiting would not help
└── Transient
    ├── Unreachable        nobody answered, or not in time
    ├── BrokenOff          an answer that comes line by line ended before its end
    └── NotSettled         a dataset was still moving when the caller's patience ended
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.errors import HeadraceError, Transient

_SERVER_ERRORS: Final = 500


class ApiError(HeadraceError):
    """A problem the gateway reports. Source: RFC 9457 (problem+json).

    `type` is the kind of problem as a URN, the same each time; `problems` lists every single fault where there are several, as
    an invalid dataset file has; the gateway's log tells more under `request_id`.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        problems: Sequence[Mapping[str, Any]] = (),
        where: str = "",
        *,
        type: str = "about:blank",
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        self.status = status
        self.title = title
        self.detail = detail
        self.problems = tuple(problems)
        self.where = where
        self.type = type
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        super().__init__(f"{title}: {detail}" if detail else title)


class NotSignedIn(ApiError):
    """The gateway does not know who is calling."""


class NotAllowed(ApiError):
    """The caller may not do this."""


class NotFound(ApiError):
    """There is no such thing, as far as the caller may know."""


class Conflict(ApiError):
    """It cannot be done as things are."""


class Invalid(ApiError):
    """What was sent is wrong."""


class TooManyRequests(ApiError):
    """The caller has asked too often."""


class GatewayFailed(ApiError):
    """The gateway failed, or something it needs."""


_KINDS: Final[Mapping[int, type[ApiError]]] = {
    400: Invalid,
    401: NotSignedIn,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    413: Invalid,
    422: Invalid,
    429: TooManyRequests,
}


def kind_of(status: int) -> type[ApiError]:
    """Which error an answer with this status is."""
    return _KINDS.get(status, GatewayFailed if status >= _SERVER_ERRORS else ApiError)


class UnexpectedAnswer(HeadraceError):
    """An answer that this client cannot read."""


class Stopped(HeadraceError):
    """A service has stopped working on a dataset."""


class Unreachable(Transient):
    """No gateway answered at this address."""


class BrokenOff(Transient):
    """An answer ended before its end."""


class NotSettled(Transient):
    """A dataset did not come to rest in time."""
