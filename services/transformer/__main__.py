"""The transformer: staged rows are put through their dataset's SQL and checks."""

import sys

from headrace.stream.service import run_service
from services.transformer.bootstrap import workers
from services.transformer.settings import TransformerSettings

if __name__ == "__main__":
    settings = TransformerSettings()
    sys.exit(run_service("transformer", settings, workers(settings)))
