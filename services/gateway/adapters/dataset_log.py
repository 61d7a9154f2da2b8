"""Writes dataset versions to their topic, one writer at a time in the whole cluster (`SoleWriter`).

See docs/decisions/0005-the-datasets-topic-is-the-truth.md.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import asdict
from typing import Final

from headrace.contract import waiting_checks
from headrace.errors import Fatal
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed, SoleWriter, TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from services.gateway.core.datasets import DatasetVersion

_WRITER_ID: Final = "headrace-gateway-datasets"

#: Given what is live, the version to write, or None to leave things as they are.
Decision = Callable[[Mapping[str, DatasetVersion]], DatasetVersion | None]


class DatasetLog:
    """The topic of dataset versions, as its only writer."""

    def __init__(self, connection: Connection, controls: Controls) -> None:
        self._connection = connection
        self._controls = controls
        self._writer = SoleWriter(connection, _WRITER_ID, "another gateway applied a dataset at the same time")

    def append(self, decide: Decision) -> None:
        """Write the version that `decide` makes of what is live, and its topics before it.

        Errors: whatever `decide` raises (nothing is written); Transient, also when another gateway was quicker.
        """
        with self._writer.turn() as writer:
            live, unreadable = self._live()
            version = decide(live)
            if version is None:
                return
            if version.name in unreadable:
                raise Fatal(
                    f"the last version of {version.name} in {topics.DATASETS} cannot be read: see this service's log; "
                    "nothing was written over it"
                )
            self._write(writer, version)

    def _live(self) -> tuple[Mapping[str, DatasetVersion], Set[str]]:
        """The versions that are live, and the names of the datasets whose version cannot be read."""
        followed = Followed(self._connection, topics.DATASETS, self._version)
        try:
            followed.refresh()
            return followed.state, followed.unreadable
        finally:
            followed.close()

    def _write(self, writer: TransactionalWriter, version: DatasetVersion) -> None:
        for each in version.generations:
            contract = each.contract()
            whose = each.name, each.generation, contract.partitions
            kafka_topics.ensure_dataset(self._connection, *whose, waits=bool(waiting_checks(contract.checks)))
        value = self._controls.encode("dataset", asdict(version))
        with writer.transaction() as transaction:
            transaction.produce(topics.DATASETS, [value], keys=[version.name.encode()])

    def _version(self, value: bytes) -> DatasetVersion:
        return DatasetVersion.of(self._controls.decode(value))
