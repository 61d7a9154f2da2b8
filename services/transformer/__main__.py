"""The transformer: staged rows are put through their dataset's SQL and checks."""

import logging
import sys
from collections.abc import Mapping

from headrace.errors import Fatal
from headrace.stream import topics
from headrace.stream.retirement import Estate
from headrace.stream.service import LiveDataset, run_service
from services.transformer.adapters.stores import Stores
from services.transformer.bootstrap import back_tests, hash_keys, known_overrides, trials, workers
from services.transformer.settings import TransformerSettings


def main() -> int:
    """Returns the exit code."""
    settings = TransformerSettings()
    try:
        keys = hash_keys(settings)
    except Fatal as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    overrides = known_overrides(settings)
    stores = Stores.of_settings(settings)
    trying, testing = trials(settings, keys), back_tests(settings, keys)

    def learn(datasets: Mapping[str, LiveDataset]) -> None:
        keys.learn(datasets)
        overrides.refresh()
        stores.follow(datasets)
        trying.learn(datasets)
        testing.learn(datasets)

    def needs_of(dataset: LiveDataset) -> object:
        return keys.needs_of(dataset), overrides.about(dataset)

    try:
        estate = Estate("transformer", (topics.transformed, topics.parked), stores.drop)
        return run_service("transformer", settings, workers(settings, keys, overrides), learn, needs_of, estate)
    finally:
        trying.close()
        testing.close()
        overrides.close()
        keys.close()


if __name__ == "__main__":
    sys.exit(main())
