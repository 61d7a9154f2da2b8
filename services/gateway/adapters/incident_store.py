"""Keeps the latest open incident of each service that stopped working on a dataset, and of each source that is down."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import Connection, Engine, delete, select

from services.gateway.adapters.dataset_store import put
from services.gateway.adapters.tables import INCIDENTS
from services.gateway.core.incidents import KEPT, Incident


class IncidentStore:
    """The projection of `_headrace.incidents`. The topic is the truth."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(self) -> dict[str, list[Incident]]:
        """The open incidents of each dataset, or `<dataset>/gN` for a generation beside it, in the order of services."""
        found: dict[str, list[Incident]] = defaultdict(list)
        with self._engine.connect() as connection:
            for row in connection.execute(select(INCIDENTS).order_by(INCIDENTS.c.service)).mappings():
                kind = row["id"].partition("/")[0]  # see `headrace.stream.notices`
                found[row["dataset"]].append(Incident(**row, type=kind, state="open"))
        return found


def fold_incidents(connection: Connection, incidents: Iterable[tuple[str, Incident | None]]) -> None:
    """Bring the projection up to these incidents, in order."""
    for _, incident in incidents:
        if incident is None or incident.type not in KEPT or incident.dataset is None:
            continue
        if incident.state == "open":
            row = asdict(incident) | {"dataset": incident.subject}
            put(connection, INCIDENTS, {column.name: row[column.name] for column in INCIDENTS.c})
        else:
            connection.execute(delete(INCIDENTS).where(INCIDENTS.c.id == incident.id))
