"""What Kafka Connect is told about a dataset: pure functions from settings to Debezium's configuration.

No value is rounded or guessed on the way: numbers with a scale travel as text, times in microseconds, and what the
database has beside a type (precision, signedness) travels with the schema.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.ingest.connectors.cdc.names import Names, pattern
from services.ingest.connectors.cdc.settings import BinlogCdcSource, CdcSource, PostgresCdcSource

Config = dict[str, str]

POSTGRES: Final = "io.debezium.connector.postgresql.PostgresConnector"
MYSQL: Final = "io.debezium.connector.mysql.MySqlConnector"
MARIADB: Final = "io.debezium.connector.mariadb.MariaDbConnector"

#: Written into the database's log by our own heartbeat, and read by nobody.
HEARTBEAT_PREFIX: Final = "headrace-heartbeat"
_TLS: Final = {
    POSTGRES: {"off": "disable", "on": "require", "verified": "verify-full"},
    MYSQL: {"off": "disabled", "on": "required", "verified": "verify_identity"},
    MARIADB: {"off": "disable", "on": "trust", "verified": "verify-full"},
}

#: The same for every dataset.
_COMMON: Final[Config] = {
    "tasks.max": "1",
    "exactly.once.support": "required",
    "transaction.boundary": "poll",
    "snapshot.mode": "initial",
    "skipped.operations": "none",
    "tombstones.on.delete": "false",
    "provide.transaction.metadata": "false",
    "decimal.handling.mode": "string",
    "time.precision.mode": "adaptive_time_microseconds",
    "binary.handling.mode": "bytes",
    "datatype.propagate.source.type": r".+\.(_?NUMERIC|_?VARBIT|DECIMAL.*)",
    "max.batch.size": "4096",
    "max.queue.size": "16384",
    "poll.interval.ms": "50",
    "key.converter": "org.apache.kafka.connect.json.JsonConverter",
    "key.converter.schemas.enable": "false",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter.schemas.enable": "true",
    "value.converter.replace.null.with.default": "false",  # a null is not the column's default
    "topic.creation.default.partitions": "1",
    "topic.creation.default.replication.factor": "-1",
    "producer.override.compression.type": "zstd",
    "producer.override.linger.ms": "5",
    "producer.override.max.request.size": str(16 << 20),
}
_POSTGRES: Final[Config] = {
    "connector.class": POSTGRES,
    "plugin.name": "pgoutput",
    "publication.autocreate.mode": "filtered",
    "slot.drop.on.stop": "false",
    "interval.handling.mode": "string",
    "hstore.handling.mode": "json",
    "include.unknown.datatypes": "true",
    # A large value that an update did not touch is not in the log: it is asked for.
    "post.processors": "reselect",
    "post.processors.reselect.type": "io.debezium.processors.reselect.ReselectColumnsPostProcessor",
    "post.processors.reselect.reselect.null.values": "false",
    "heartbeat.action.query": f"SELECT pg_logical_emit_message(false, '{HEARTBEAT_PREFIX}', '')",
    "message.prefix.exclude.list": HEARTBEAT_PREFIX,
}
_BINLOG: Final[Config] = {
    "include.schema.changes": "false",
    "event.converting.failure.handling.mode": "fail",  # else a value that it cannot read becomes null
    "enable.time.adjuster": "false",  # the years 0 to 99 are what they are: the server makes four digits of two
    "bigint.unsigned.handling.mode": "precise",
    "schema.history.internal.store.only.captured.tables.ddl": "true",
    "schema.history.internal.store.only.captured.databases.ddl": "true",
}

_BINLOGS: Final[Mapping[str, Config]] = {
    "mysql_cdc": {"connector.class": MYSQL},
    # Times, dates and others, too, say what they are in the database: see `shape`.
    "mariadb_cdc": {
        "connector.class": MARIADB,
        "datatype.propagate.source.type": r".+\.(DECIMAL|TIME|BIT|DATE|YEAR|UUID).*",
    },
}


def config(source: CdcSource, names: Names, host: str, secrets: Path, bootstrap_servers: str) -> Config:
    """The whole configuration of a dataset's connector. `host` is the address that was looked at; `secrets` a folder."""
    made = _COMMON | {
        "database.hostname": source.host if source.tls == "verified" else host,
        "database.user": source.user,
        "topic.prefix": names.connector,
        "heartbeat.interval.ms": str(source.heartbeat_s * 1000),
        **_routed(names),
    }
    if source.password is not None:
        made["database.password"] = reference(secrets, names.secret)
    if source.row_key:
        made["message.key.columns"] = f"{pattern(*_table(source))}:{','.join(map(pattern, source.row_key))}"
    if isinstance(source, PostgresCdcSource):
        return made | _postgres(source, names)
    if isinstance(source, BinlogCdcSource):
        return made | _binlog(source, names, bootstrap_servers)
    raise TypeError(f"no configuration for sources of type {source.type}")


def reference(secrets: Path, name: str) -> str:
    """How a configuration names a password that was left in the folder."""
    return f"${{directory:{secrets}:{name}}}"


def _table(source: CdcSource) -> tuple[str, str]:
    assert isinstance(source, PostgresCdcSource | BinlogCdcSource)  # the two kinds there are
    return source.schema_and_table


def _postgres(source: PostgresCdcSource, names: Names) -> Config:
    return _POSTGRES | {
        "database.port": str(source.port),
        "database.dbname": source.name,
        "database.sslmode": _TLS[POSTGRES][source.tls],
        "table.include.list": pattern(*source.schema_and_table),
        "slot.name": names.slot,
        "publication.name": names.slot,
    }


def _binlog(source: BinlogCdcSource, names: Names, bootstrap_servers: str) -> Config:
    database, _ = source.schema_and_table
    plugin = _BINLOGS[source.type]
    return (
        _BINLOG
        | plugin
        | {
            "database.port": str(source.port),
            "database.ssl.mode": _TLS[plugin["connector.class"]][source.tls],
            "database.server.id": str(source.server_id or names.server_id),
            "database.include.list": pattern(database),
            "table.include.list": pattern(*source.schema_and_table),
            "schema.history.internal.kafka.bootstrap.servers": bootstrap_servers,
            "schema.history.internal.kafka.topic": names.history,
        }
    )


def _routed(names: Names) -> Config:
    """Every record of the table into the one topic, whatever characters its name is made of; heartbeats where they are."""
    return {
        "transforms": "route",
        "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.route.regex": f"{pattern(*names.connector.split('.'))}\\..*",
        "transforms.route.replacement": names.topic,
    }


def differs(wanted: Mapping[str, str], found: Mapping[str, str]) -> bool:
    """Whether a connector is to be told anew. Connect adds the connector's own name."""
    return {key: value for key, value in found.items() if key != "name"} != dict(wanted)
