"""Finds out what the gateway can reach."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from headrace.errors import HeadraceError
from headrace.stream import topics
from headrace.stream.kafka import Connection
from headrace.stream.kafka.connection import mapped
from headrace.stream.registry import Registry
from services.gateway.adapters.audit_anchor import AuditAnchor
from services.gateway.adapters.control_fold import ControlFold
from services.gateway.adapters.warehouse import Warehouse

_REPLY_S = 3.0


class Health:
    """Asks each part, all at the same time."""

    def __init__(
        self,
        engine: Engine,
        connection: Connection,
        registry: Registry,
        warehouse: Warehouse,
        fold: ControlFold,
        audit_anchor: AuditAnchor,
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._warehouse = warehouse
        self._fold = fold
        self._audit_anchor = audit_anchor
        self._admin = AdminClient(connection.client())

    def __call__(self) -> dict[str, str]:
        """What is wrong with each part; an empty text when nothing is."""
        checks: dict[str, Callable[[], object]] = {
            "database": self._database,
            "kafka": self._kafka,
            "registry": lambda: self._registry.latest(topics.subject(topics.DATASETS)),
            "warehouse": self._warehouse.check,
        }
        with ThreadPoolExecutor(len(checks)) as pool:
            found = dict(zip(checks, pool.map(_fault, checks.values()), strict=True))
        return found | {"books": self._fold.fault or "", "audit": self._audit_anchor.fault or ""}

    def _database(self) -> None:
        with self._engine.connect() as connection:
            connection.execute(text("select 1"))

    def _kafka(self) -> None:
        try:
            self._admin.list_topics(timeout=_REPLY_S)
        except KafkaException as error:
            raise mapped(error, "asking Kafka for its topics") from error


def _fault(check: Callable[[], object]) -> str:
    try:
        check()
    except (HeadraceError, SQLAlchemyError) as error:
        return str(error)
    return ""
