"""The quality service: rows go on as they came, and what each batch looked like is published."""

import sys

from headrace.stream import topics
from headrace.stream.retirement import Estate
from headrace.stream.service import run_service
from services.quality.bootstrap import workers
from services.quality.settings import QualitySettings

if __name__ == "__main__":
    settings = QualitySettings()
    sys.exit(run_service("quality", settings, workers(settings), estate=Estate("quality", (topics.validated,))))
