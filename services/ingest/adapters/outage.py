"""Whether a source is there, and since when it is not: said when it has gone for more than a moment, and when it is back."""

import logging
import random
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from typing import Final, TypeVar

from headrace.connector import SourceChanged
from headrace.errors import Transient
from headrace.stream.notices import Notices
from services.ingest.core.backoff import delay_s

log = logging.getLogger(__name__)

KIND: Final = "source_down"
_PATIENCE: Final = 3  # failures in a row before anybody is told

T = TypeVar("T")


class SourceDown(Transient):
    """The source failed in a way that passes, not the platform."""


def of_source(steps: Iterator[T]) -> Generator[T, None, None]:
    """The steps of a connector, whose failures are told from those of the platform. Errors: SourceDown, SourceChanged, Fatal."""
    while True:
        try:
            step = next(steps)
        except StopIteration:
            return
        except (SourceDown, SourceChanged):
            raise
        except Transient as error:
            raise SourceDown(str(error)) from error
        yield step


class Outage:
    """The outages of one source, as its reader meets them."""

    def __init__(self, dataset: str, notices: Notices, chance: Callable[[], float] = random.random) -> None:
        self._dataset = dataset
        self._notices = notices
        self._chance = chance
        self._failures = 0
        self._since = datetime.min
        self._told: bool | None = None  # what another process told before is not known

    def failed(self, error: SourceDown) -> float:
        """Note a failure. Returns how long to wait, in seconds."""
        self._failures += 1
        self._since = datetime.now(UTC) if self._failures == 1 else self._since
        wait_s = delay_s(self._failures, self._chance())
        log.warning("the source fails, tried again in %.1f s: %s", wait_s, error, extra={"dataset": self._dataset})
        if self._failures >= _PATIENCE:
            since = self._since.isoformat(timespec="seconds")
            message = f"the source of {self._dataset} is down since {since}: {error}"
            self._notices.incident(
                KIND, self._dataset, message, {"since": since, "failures": self._failures, "error": str(error)}
            )
            self._told = True
        return wait_s

    def exhausts(self, attempts: int | None) -> bool:
        """Whether one more failure in a row is the last that is put up with. If so, none is counted any more."""
        if attempts is None or self._failures + 1 < attempts:
            return False
        self._failures = 0
        return True

    def over(self) -> None:
        """Note that the source answers."""
        if self._told is not False:
            self._notices.resolved(KIND, self._dataset, f"the source of {self._dataset} answers")
        self._failures, self._told = 0, False
