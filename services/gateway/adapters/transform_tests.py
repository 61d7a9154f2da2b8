"""Runs the tests of a dataset file before it goes live: what a client says of them cannot be relied upon."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from headrace.contract import Contract
from headrace.errors import Transient
from headrace.transform.trial import Verdict, run_tests

#: Together less than a client waits for an answer.
_WAIT_S: Final = 20.0
_LIMIT_S: Final = 60.0


class TransformTests:
    """One file at a time, so that the memory of one engine bounds what they all take."""

    def __init__(self) -> None:
        self._turn = threading.Lock()

    def failed(self, contract: Contract) -> Sequence[Verdict]:
        """The tests that do not pass. Errors: Transient when those of others take all the time."""
        if not contract.tests:
            return ()
        with self.turn():
            return [verdict for verdict in run_tests(contract, time_limit_s=_LIMIT_S) if not verdict.passed]

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The right to run tests. Errors: as `failed`."""
        if not self._turn.acquire(timeout=_WAIT_S):
            raise Transient("the tests of other dataset files are being run: try again")
        try:
            yield
        finally:
            self._turn.release()
