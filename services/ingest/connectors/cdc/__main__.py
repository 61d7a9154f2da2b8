"""Takes away what a dataset has in Kafka Connect, in its database and in Kafka: `python -m services.ingest.connectors.cdc FILE`.

For a dataset that is no more: ingest does not do it by itself, since a slot that is dropped cannot be had back. It is told
what ingest is told, by its environment.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from headrace.contract import load
from headrace.errors import HeadraceError
from services.ingest.bootstrap import connector_for, known_secrets
from services.ingest.connectors.cdc.connector import CdcConnector
from services.ingest.settings import IngestSettings


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m services.ingest.connectors.cdc FILE\n")
        return 2
    settings = IngestSettings()
    try:
        contract = load(Path(arguments[0]).read_text(), arguments[0])
        connector = connector_for(contract, settings, known_secrets(settings).of_source(contract.dataset))
        if not isinstance(connector, CdcConnector):
            sys.stderr.write(f"{contract.dataset} captures no changes: its source is of type {contract.source.type}\n")
            return 2
        connector.cleanup()
    except (HeadraceError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{contract.dataset}: connector, slot, publication and topics are taken away\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
