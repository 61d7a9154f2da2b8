"""Where the reference data of each generation is kept, and which of it is thrown away: what no generation needs any more."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

from headrace.stream.service import LiveDataset, every_generation
from headrace.transform.store import PASSING, Store
from services.transformer.settings import TransformerSettings

log = logging.getLogger(__name__)


class Stores:
    """The stores of one process, below a folder that is its own. Losing them means reading again, no more."""

    def __init__(self, folder: Path, spill: str) -> None:
        self._folder = folder
        self._spill = spill
        self._needed: set[str] | None = None
        self._swept = False

    @classmethod
    def of_settings(cls, settings: TransformerSettings) -> "Stores":
        """Those of an instance: the same after a restart, another for each process among its kind."""
        return cls(settings.data_dir / f"transformer-{settings.instance}-references", settings.transform_spill)

    def begin(self) -> None:
        """Throw away what was passing in a process before this one that was killed."""
        shutil.rmtree(self._folder / PASSING, ignore_errors=True)

    def of(self, dataset: str, generation: int) -> Store:
        """What one generation of a dataset refers to."""
        return Store(self._folder / _name(dataset, generation), self._spill)

    def aside(self) -> Store:
        """One that goes when it is not used any more."""
        return Store.aside(self._folder, self._spill)

    def drop(self, dataset: str, generation: int) -> None:
        """Throw away what a generation referred to that is retired."""
        self.of(dataset, generation).discard()

    def follow(self, datasets: Mapping[str, LiveDataset]) -> None:
        """Throw away what belongs to no generation of these, and belonged to none the last time: else who works with it is only
        told to end after this."""
        needed = {
            _name(each.name, each.generation)
            for dataset in datasets.values()
            if dataset.state != "retired"
            for each in every_generation(dataset)
        }
        before, self._needed = self._needed, needed
        if needed == before and self._swept:
            return
        self._swept = before in (None, needed)
        there = self._folder.iterdir() if self._folder.is_dir() else ()
        for folder in there:
            if folder.name not in {*needed, *(before or ()), PASSING}:
                log.info("reference data in %s is thrown away: no generation needs it", folder)
                shutil.rmtree(folder, ignore_errors=True)


def _name(dataset: str, generation: int) -> str:
    return f"{dataset}-g{generation}"
