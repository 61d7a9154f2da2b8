"""Reads a dataset's raw topic and lands it in the lake, in pieces large enough to be worth a file."""

import logging
import threading
import time
from typing import Protocol

import pyarrow as pa

from headrace.errors import Transient
from headrace.stream.decode import Decoder
from headrace.stream.pump import Backoff, Delivery, Source
from services.stager.adapters.lake import LakeTable, Waiting
from services.stager.core.landing import landed

log = logging.getLogger(__name__)


class Limits(Protocol):
    """When to land what waits; see `services.stager.settings`."""

    @property
    def landing_rows(self) -> int: ...
    @property
    def landing_bytes(self) -> int: ...
    @property
    def landing_interval_s(self) -> float: ...


class Lander:
    """Lands one dataset. Undecodable records are not landed: the stage beside it quarantines them with their bytes."""

    def __init__(
        self, dataset: str, version: int, source: Source, decoder: Decoder, lake: LakeTable, limits: Limits
    ) -> None:
        self._dataset = dataset
        self._version = version
        self._source = source
        self._decoder = decoder
        self._lake = lake
        self._limits = limits
        self._waiting = Waiting()
        self._epoch = -1
        self._failed = False

    @property
    def name(self) -> str:
        return f"lander {self._dataset}"

    def run(self, stopping: threading.Event) -> None:
        """See `headrace.stream.service.Worker`."""
        backoff = Backoff()
        try:
            while not stopping.is_set():
                try:
                    self._step()
                    backoff.reset()
                except Transient as error:
                    wait_s = backoff.next_s()
                    log.warning("landing again in %.1f s: %s", wait_s, error, extra={"dataset": self._dataset})
                    stopping.wait(wait_s)
                    self._failed = True
            if not self._failed:
                self._land()
        finally:
            self._source.close()

    def _step(self) -> None:
        if self._failed:
            self._source.rewind()
            self._failed = False
        delivery = self._source.poll(20_000, 0.5)
        self._forget_the_past()
        if delivery is not None:
            self._take(delivery)
        waiting, limits = self._waiting, self._limits
        waited_s = time.monotonic() - waiting.since
        full = waiting.rows >= limits.landing_rows or waiting.size_bytes >= limits.landing_bytes
        if full or (waiting.next_offsets and waited_s >= limits.landing_interval_s):
            self._land()

    def _forget_the_past(self) -> None:
        """What was read under an assignment that is over will be read again, here or elsewhere: it must not be landed."""
        if self._source.epoch != self._epoch:
            self._waiting = Waiting()
            self._epoch = self._source.epoch

    def _take(self, delivery: Delivery) -> None:
        batches, _ = self._decoder(delivery.records)
        self._waiting.add([landed(batch, self._version) for batch in batches], delivery.next_offsets)

    def _land(self) -> None:
        waiting, self._waiting = self._waiting, Waiting()
        if not waiting.next_offsets:
            return
        # Without rows, too: whoever asks the lake how far it reaches would wait for what is never landed.
        rows = pa.concat_tables(waiting.tables, promote_options="permissive") if waiting.tables else None
        self._lake.append(rows, waiting.next_offsets)
        log.info("landed %d records", waiting.rows, extra={"dataset": self._dataset, "table": self._lake.identifier})
