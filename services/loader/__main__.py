"""The loader: validated records become rows of the warehouse, each exactly once."""

import sys

from headrace.stream.service import run_service
from services.loader.bootstrap import estate, workers
from services.loader.settings import LoaderSettings

if __name__ == "__main__":
    settings = LoaderSettings()
    sys.exit(run_service("loader", settings, workers(settings), estate=estate(settings)))
