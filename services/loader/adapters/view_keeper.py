"""Has the view of a dataset show the generation that is live, after it was promoted or gone back to.

Which one that is stands in `_headrace.datasets` before this begins, and the view follows: whoever comes next finds out again
what is missing, so it may break off anywhere. The view is replaced in one statement, only by one of a table that is there, and
by nobody who has not heard of a newer promotion that another knows.
"""

import logging
import threading
from contextlib import closing
from typing import Final

from headrace.errors import Transient
from headrace.stream.generation_table import shown_generation
from headrace.stream.service import LiveDataset
from services.loader.adapters.warehouse import FullLoads
from services.loader.core.showing import OutrankedError
from services.loader.core.table import published

log = logging.getLogger(__name__)

_WAIT_S: Final = 0.5
#: It is looked after for ever, seldom: somebody may drop a view.
_LOOK_S: Final = 5.0


class ViewKeeper:
    """See `headrace.stream.service.Worker`."""

    def __init__(self, dataset: LiveDataset, warehouse: FullLoads) -> None:
        self.name = f"view_keeper {dataset.name}"
        self._dataset = dataset
        self._warehouse = warehouse
        self._table = published(dataset.contract, dataset.generation, promotion=dataset.promotion)
        self._outranked = False

    def run(self, stopping: threading.Event) -> None:
        """See `Worker.run`."""
        with closing(self._warehouse):
            while not stopping.is_set():
                try:
                    shows = self.show()
                except OutrankedError as error:
                    if not self._outranked:
                        log.warning("%s", error, extra={"dataset": self._dataset.name})
                    self._outranked = shows = True
                except Transient as error:
                    log.warning("the view waits: %s", error, extra={"dataset": self._dataset.name})
                    shows = False
                stopping.wait(_LOOK_S if shows else _WAIT_S)

    def show(self) -> bool:
        """Have the view show the live generation. Returns whether it does.

        Errors: OutrankedError when this is not the live one any more; Transient, Fatal.
        """
        self._warehouse.claim(self._table)
        if shown_generation(self._warehouse.shows(self._table)) == self._dataset.generation:
            return True
        held = self._warehouse.held(self._table)
        if held is None:  # what shows stays until there is something to show in its place
            return False
        self._warehouse.show(self._table, held)
        log.info("the view shows generation %d", self._dataset.generation, extra={"dataset": self._dataset.name})
        # A pump that gave the table a column meanwhile left the view alone, as it was not its own yet.
        while (now := self._warehouse.held(self._table)) not in (held, None):
            held = now
            self._warehouse.show(self._table, held)
        return True
