"""The quality service: rows go on as they came, and what each batch looked like is published."""

import sys

from headrace.stream.service import every_generation, run_service
from services.quality.bootstrap import workers
from services.quality.settings import QualitySettings

if __name__ == "__main__":
    settings = QualitySettings()
    sys.exit(run_service("quality", settings, workers(settings), generations=every_generation))
