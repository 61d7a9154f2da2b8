"""Says what would become of raw records, by the very stage and reference data that they would meet, and writes nothing else."""

import base64
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from confluent_kafka import Producer

from headrace.errors import Fatal, HeadraceError
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.decode import Decoder
from headrace.stream.kafka import Connection, Questions
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset
from headrace.stream.stage import Outcome, Records, Stage
from headrace.stream.staging import staged

log = logging.getLogger(__name__)

GROUP: Final = "headrace.transformer.trials"
_MOST: Final = 500
_REPLY_S: Final = 10.0

#: Opens the stage of a dataset with its reference data as it is now; the second gives it back. Errors: HeadraceError.
OpenStage = Callable[[LiveDataset], tuple[Stage, Callable[[], None]]]
Trial = dict[str, Any]


class Trials:
    """Takes trials (`Questions`) once the datasets are known."""

    def __init__(self, connection: Connection, registry: Registry, open_stage: OpenStage) -> None:
        self._controls = Controls(registry)
        self._decoder = Decoder(registry)
        self._open_stage = open_stage
        self._datasets: Mapping[str, LiveDataset] = {}
        self._questions = Questions(connection, self._controls, topics.TRIALS, GROUP, self._take, _MOST)

    def learn(self, datasets: Mapping[str, LiveDataset]) -> None:
        """Note which datasets there are."""
        self._datasets = dict(datasets)
        self._questions.start()

    def close(self) -> None:
        """Stop."""
        self._questions.close()

    def _take(self, producer: Producer, trials: Sequence[Trial]) -> None:
        for said in self._verdicts(trials):
            producer.produce(topics.VERDICTS, self._controls.encode("verdict", said), said["request"].encode())
        producer.flush(_REPLY_S)

    def _verdicts(self, every: Sequence[Trial]) -> Iterator[dict[str, Any]]:
        """What would become of each, dataset by dataset."""
        by_dataset: dict[str, list[Trial]] = {}
        for trial in every:
            by_dataset.setdefault(trial["dataset"], []).append(trial)
        for name, trials in by_dataset.items():
            try:
                yield from self._of_dataset(name, trials)
            except HeadraceError as error:
                for trial in trials:
                    yield _verdict(trial, "refused", None, f"the transformer cannot try it: {error}")

    def _of_dataset(self, name: str, trials: Sequence[Trial]) -> list[dict[str, Any]]:
        """Errors: HeadraceError."""
        dataset = self._datasets.get(name)
        if dataset is None:
            raise Fatal(f"there is no dataset {name}")
        values = [base64.b64decode(trial["value"]) for trial in trials]
        batches, failed = self._decoder(Records.numbered(topics.raw(name), values, time.time_ns() // 1_000_000))
        said = [_verdict(trials[each.row], "quarantined", each.reason, each.detail) for each in failed]
        stage, give_back = self._open_stage(dataset)
        try:
            for batch in batches:
                mine = [trials[at] for at in batch.raw.offset.to_numpy().tolist()]
                said += _fates(mine, stage(replace(batch, rows=staged(batch, dataset.version))))
        finally:
            give_back()
        return said


def _fates(trials: Sequence[Trial], outcome: Outcome) -> Iterator[dict[str, Any]]:
    rejected = {rejection.row: rejection for rejection in outcome.rejected}
    parked = {waiting.row: waiting for waiting in outcome.parked}
    filtered = {row: rule for rule, rows in outcome.filtered.items() for row in rows.to_numpy().tolist()}
    for at, trial in enumerate(trials):
        if at in rejected:
            yield _verdict(trial, "quarantined", rejected[at].reason, rejected[at].detail)
        elif at in parked:
            yield _verdict(trial, "parked", parked[at].rule, parked[at].detail)
        elif at in filtered:
            yield _verdict(trial, "filtered", filtered[at], "")
        else:
            yield _verdict(trial, "loaded", None, "")


def _verdict(trial: Trial, fate: str, reason: str | None, detail: str) -> dict[str, Any]:
    """What would become of a trial. Fields: `schemas/verdict.avsc`."""
    return {"request": trial["request"], "row": trial["row"], "fate": fate, "reason": reason, "detail": detail}
