"""The transformer: staged rows are put through their dataset's SQL and checks."""

import sys
from collections.abc import Mapping

from headrace.stream.service import LiveDataset, run_service
from services.transformer.bootstrap import back_tests, trials, workers
from services.transformer.settings import TransformerSettings


def main() -> int:
    """Returns the exit code."""
    settings = TransformerSettings()
    trying, testing = trials(settings), back_tests(settings)

    def learn(datasets: Mapping[str, LiveDataset]) -> None:
        trying.learn(datasets)
        testing.learn(datasets)

    try:
        return run_service("transformer", settings, workers(settings), learn)
    finally:
        trying.close()
        testing.close()


if __name__ == "__main__":
    sys.exit(main())
