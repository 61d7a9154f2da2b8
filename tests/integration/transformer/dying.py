"""A transformer that works on one candidate and is killed at its n-th commit, before or after it.

Arguments: the dataset file as JSON, generation, settings as JSON, n, and `before` or `after`.
"""

import json
import os
import signal
import sys
import threading

from headrace.contract import Contract
from headrace.stream.kafka import KafkaSink
from headrace.stream.pump import Work
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset
from services.transformer.bootstrap import hash_keys, known_overrides, worker_for
from services.transformer.settings import TransformerSettings


def main(document: str, generation: str, given: str, commits: str, when: str) -> None:
    """Works until it dies."""
    settings = TransformerSettings(**json.loads(given))
    contract = Contract.from_json(document)
    number, left = int(generation), int(commits)
    dataset = LiveDataset(contract.dataset, number, number, "active", contract, "candidate")
    commit = KafkaSink.commit

    def dying(sink: KafkaSink, work: Work) -> None:
        nonlocal left
        left -= 1
        if not left and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        commit(sink, work)
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    KafkaSink.commit = dying  # type: ignore[method-assign, assignment]
    keys, overrides = hash_keys(settings), known_overrides(settings)
    worker_for(dataset, settings, Registry(settings.registry_url), keys, overrides).run(threading.Event())


if __name__ == "__main__":
    main(*sys.argv[1:])
