"""Opens the gateway's database and brings its schema up to date."""

from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url

MIGRATIONS: Final = Path(__file__).parents[1] / "migrations"


def open_database(url: str) -> Engine:
    """An engine for SQLite (write-ahead log, waits for a lock) or PostgreSQL (psycopg2 unless the URL says otherwise)."""
    parsed = make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg2")
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": 30})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin)
    return engine


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest revision."""
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for a connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _prepare_sqlite(connection: Any, _: object) -> None:
    """The log lets readers go on while the fold writes; NORMAL still keeps every commit over a crash of the process."""
    connection.isolation_level = None  # the driver begins no transaction of its own: `_begin` does
    for pragma in ("journal_mode = wal", "synchronous = normal"):
        connection.execute(f"pragma {pragma}")


def _begin(connection: Connection) -> None:
    """The driver would begin only at the first write, and never before a change of the schema."""
    connection.exec_driver_sql("begin")
