"""Carries out one commit at a time beside the pump's thread, so that the next batch is read and decided meanwhile."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

W = TypeVar("W")


class Committer(Generic[W]):
    """Calls `commit` with one work after the other, never with two at once. Its methods belong to one thread."""

    def __init__(self, commit: Callable[[W], None]) -> None:
        self._commit = commit
        self._begun: _Begun[W] | None = None

    def begin(self, work: W) -> None:
        """Start to commit `work`. The one before must have been settled."""
        if self._begun is not None:
            raise AssertionError("the commit before this one is not settled")
        self._begun = _Begun(self._commit, work)

    def wait(self) -> None:
        """Return once no commit is under way. How it ended is for `settle` to say."""
        if (begun := self._begun) is not None:
            begun.wait()

    def settle(self) -> W | None:
        """Wait for the commit that was begun. Returns its work, which stands now; None if there was none.

        Errors: what `commit` raised; its work is given up.
        """
        begun, self._begun = self._begun, None
        return begun.result() if begun is not None else None


class _Begun(Generic[W]):
    """One commit, in a thread of its own: the thread costs a fiftieth of a millisecond, and ends with it."""

    def __init__(self, commit: Callable[[W], None], work: W) -> None:
        self._work = work
        self._error: BaseException | None = None
        name = f"{threading.current_thread().name} commit"
        self._thread = threading.Thread(target=self._run, args=(commit,), name=name, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        self._thread.join()

    def result(self) -> W:
        self._thread.join()
        error, self._error = self._error, None
        if error is None:
            return self._work
        try:
            raise error
        finally:
            # The error leads back to these frames: left in them, it would keep the batch and the client alive that it
            # met, until the cycle collector comes by, and that is told to come seldom.
            del error, self

    def _run(self, commit: Callable[[W], None]) -> None:
        try:
            commit(self._work)
        except BaseException as error:  # whatever it is, `result` raises it in the pump's thread
            self._error = error
