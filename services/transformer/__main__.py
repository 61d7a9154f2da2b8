"""The transformer: staged rows are put through their dataset's SQL and checks."""

import sys

from headrace.stream.service import run_service
from services.transformer.bootstrap import trials, workers
from services.transformer.settings import TransformerSettings


def main() -> int:
    """Returns the exit code."""
    settings = TransformerSettings()
    trying = trials(settings)
    try:
        return run_service("transformer", settings, workers(settings), trying.learn)
    finally:
        trying.close()


if __name__ == "__main__":
    sys.exit(main())
