"""The stager: raw records get their identity and go on; beside that they land in the lake."""

import sys

from headrace.stream.service import run_service
from services.stager.bootstrap import workers
from services.stager.settings import StagerSettings

if __name__ == "__main__":
    settings = StagerSettings()
    sys.exit(run_service("stager", settings, workers(settings)))
