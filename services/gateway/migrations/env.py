"""Runs the migrations over the connection the gateway hands in, one gateway at a time."""

from alembic import context
from sqlalchemy import Connection, text

from services.gateway.adapters.tables import METADATA

_LOCK = 4_867_214_309  # any number, as long as every gateway takes the same


def run() -> None:
    connection: Connection = context.config.attributes["connection"]
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    context.configure(connection=connection, target_metadata=METADATA, compare_type=True, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


run()
