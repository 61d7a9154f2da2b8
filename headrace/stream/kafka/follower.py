"""Follows something in a thread of its own for as long as the process runs: what fails is begun anew after a moment."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaException

from headrace.stream.kafka.connection import mapped

log = logging.getLogger(__name__)

_PAUSE_S: Final = 1.0
_STOP_S: Final = 10.0


class Follower:
    """Runs `session` until it is closed. A session works until the event it is given is set, or raises what stands in its way."""

    def __init__(self, what: str, session: Callable[[threading.Event], None]) -> None:
        self._what = what
        self._session = session
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=what, daemon=True)

    def start(self) -> None:
        """Begin, if it has not begun."""
        if self._thread.ident is None:
            self._thread.start()

    def close(self) -> None:
        """Stop, and wait a while for what is under way."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self._session(self._stopping)
            except Exception as error:
                said = mapped(error, f"following {self._what}") if isinstance(error, KafkaException) else error
                log.warning("%s have to wait: %s", self._what, said)
                self._stopping.wait(_PAUSE_S)
