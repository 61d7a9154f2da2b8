"""The memory pair keeps the promises of the seams."""

from collections.abc import Sequence

import pytest

from headrace.stream import topics
from headrace.stream.memory import MemoryLog, MemorySchemas, MemorySink, MemorySource
from headrace.stream.outputs import Outputs
from tests.contract.stream.seams import SeamBehaviour


class MemoryPair:
    def __init__(self) -> None:
        self.dataset = "seams.memory"
        self.registry = MemorySchemas()
        self.log = MemoryLog()

    def send(self, values: Sequence[bytes | None], partition: int = 0) -> None:
        for value in values:
            self.log.append(topics.staged(self.dataset), value, partition=partition)

    def source(self, group: str) -> MemorySource:
        return MemorySource(self.log, topics.staged(self.dataset), group)

    def sink(self, outputs: Outputs) -> MemorySink:
        return MemorySink(self.log, outputs)

    def values(self, topic: str) -> list[bytes]:
        return [value for value in self.log.values(topic) if value is not None]


class TestMemory(SeamBehaviour):
    @pytest.fixture
    def pair(self) -> MemoryPair:
        return MemoryPair()
