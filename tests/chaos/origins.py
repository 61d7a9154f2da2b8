"""Sources of a run's rows that are servers: they hold them, die, and hold them again."""

import csv
import json
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import adbc_driver_postgresql.dbapi
import asyncssh
import boto3  # type: ignore[import-untyped]
import pyarrow as pa
import pymysql
from confluent_kafka import Producer
from pydantic import SecretStr

from headrace.stream.kafka import Connection
from headrace.stream.kafka import topics as kafka_topics
from tests.chaos.run import Row
from tests.chaos.serving import PASSWORD
from tests.mariadb import MariaDb
from tests.postgresql import PostgreSql
from tests.stack import Platform, eventually, free_ports

_START_S: Final = 60.0
_TABLE: Final = "(id bigint PRIMARY KEY, device {text}, seq bigint, amount {float}, note {text}, at {instant})"


class Origin(ABC):
    """A server with the rows of a run. `name` is one nobody else uses."""

    def __init__(self, platform: Platform, name: str, folder: Path) -> None:
        self.platform = platform
        self.name = name
        self.folder = folder

    @property
    @abstractmethod
    def source(self) -> dict[str, Any]:
        """The section of the dataset file."""

    @abstractmethod
    def fill(self, rows: Iterable[Row]) -> None:
        """Start it, and give it the rows."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL to the server."""

    @abstractmethod
    def restart(self) -> None:
        """Start it again, with the same rows."""

    def close(self) -> None:  # noqa: B027  # only those that start something have to
        """Leave nothing running."""


class _Process(Origin):
    """A server that is a process of its own."""

    process: "subprocess.Popen[bytes]"

    def __init__(self, platform: Platform, name: str, folder: Path) -> None:
        super().__init__(platform, name, folder)
        (self.port,) = free_ports(1)

    @property
    @abstractmethod
    def command(self) -> list[str]:
        """What is run."""

    def restart(self) -> None:
        self.process = subprocess.Popen(self.command, cwd=Path(__file__).parents[2])
        eventually(self._listens, _START_S, f"{self.name} listens")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.kill()

    def _listens(self) -> bool:
        assert self.process.poll() is None, f"{self.name} has ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


class Rest(_Process):
    """A JSON API."""

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.chaos.serving", "rest", str(self.port), str(self.folder)]

    @property
    def source(self) -> dict[str, Any]:
        return {
            "type": "rest",
            "url": f"http://127.0.0.1:{self.port}/rows",
            "records": "$.items",
            "pagination": {"type": "cursor", "path": "$.next", "param": "cursor"},
        }

    def fill(self, rows: Iterable[Row]) -> None:
        (self.folder / "rows.jsonl").write_text("".join(json.dumps(row._asdict()) + "\n" for row in rows))
        self.restart()


class Sftp(_Process):
    """Files of an SFTP server."""

    @property
    def _served(self) -> Path:
        return self.folder / "served"

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.chaos.serving", "sftp", str(self.port), str(self._served)]

    @property
    def source(self) -> dict[str, Any]:
        secret = f"{self.name}-password".replace("_", "-")
        self.platform.client.secrets.set(secret, SecretStr(PASSWORD))
        key = asyncssh.read_private_key(self._served.with_suffix(".key")).get_fingerprint()
        return {
            "type": "file",
            "path": f"sftp://127.0.0.1:{self.port}/*.csv",
            "storage": {"user": "reader", "password": f"secret://{secret}", "host_keys": [key]},
        }

    def fill(self, rows: Iterable[Row]) -> None:
        self._served.mkdir()
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(self._served.with_suffix(".key"))
        _write_csv(self._served / "rows.csv", rows)
        self.restart()


class S3(_Process):
    """Objects of an S3 server that keeps them in memory: after a restart they are uploaded again."""

    @property
    def command(self) -> list[str]:
        return [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(self.port)]

    @property
    def source(self) -> dict[str, Any]:
        storage = {"endpoint": f"http://127.0.0.1:{self.port}", "region": "us-east-1", "anonymous": True}
        return {"type": "file", "path": "s3://rows/*.csv", "storage": storage}

    def fill(self, rows: Iterable[Row]) -> None:
        _write_csv(self.folder / "rows.csv", rows)
        self.restart()

    def restart(self) -> None:
        super().restart()
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        client: Any = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1", **keys)
        client.create_bucket(Bucket="rows", ACL="public-read")
        client.upload_file(str(self.folder / "rows.csv"), "rows", "rows.csv", ExtraArgs={"ACL": "public-read"})


class Postgres(Origin):
    """A table of PostgreSQL."""

    def __init__(self, platform: Platform, name: str, folder: Path, server: PostgreSql) -> None:
        super().__init__(platform, name, folder)
        self._server = server

    @property
    def source(self) -> dict[str, Any]:
        where = {"host": "127.0.0.1", "port": self._server.port, "name": "postgres", "user": "headrace"}
        return {"type": "sql", "database": "postgresql", **where, "table": self.name, "key": ["id"]}

    def fill(self, rows: Iterable[Row]) -> None:
        columns = zip(*rows, strict=True)
        batch = pa.RecordBatch.from_arrays([pa.array(column) for column in columns], list(Row._fields))
        table = _TABLE.format(text="text", float="double precision", instant="timestamptz")
        connected = adbc_driver_postgresql.dbapi.connect(self._server.url, autocommit=True)
        with connected as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE TABLE {self.name} {table}")
            cursor.adbc_ingest(f"{self.name}_text", batch)
            cursor.execute(
                f"INSERT INTO {self.name} SELECT id, device, seq, amount, note, at::timestamptz FROM {self.name}_text"
            )

    def kill(self) -> None:
        self._server.kill()

    def restart(self) -> None:
        self._server.start()


class MariaDbTable(Origin):
    """A table of MariaDB."""

    def __init__(self, platform: Platform, name: str, folder: Path, server: MariaDb) -> None:
        super().__init__(platform, name, folder)
        self._server = server

    @property
    def source(self) -> dict[str, Any]:
        where = {"host": "127.0.0.1", "port": self._server.port, "name": "shop", "user": "root"}
        return {"type": "sql", "database": "mysql", **where, "table": self.name, "key": ["id"]}

    def fill(self, rows: Iterable[Row]) -> None:
        table = _TABLE.format(text="text", float="double", instant="timestamp")
        values = [(*row[:-1], row.at.replace("T", " ").removesuffix("+00:00")) for row in rows]
        with pymysql.connect(
            host="127.0.0.1", port=self._server.port, user="root", database="shop", autocommit=True, charset="utf8mb4"
        ) as connection:
            cursor = connection.cursor()
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute(f"CREATE TABLE {self.name} {table}")
            for start in range(0, len(values), 5000):
                cursor.executemany(
                    f"INSERT INTO {self.name} VALUES (%s, %s, %s, %s, %s, %s)", values[start : start + 5000]
                )

    def kill(self) -> None:
        self._server.kill()

    def restart(self) -> None:
        self._server.start()


class KafkaTopic(Origin):
    """A topic of the platform's own broker, which other tests kill."""

    @property
    def source(self) -> dict[str, Any]:
        servers = self.platform.stack.bootstrap_servers
        return {"type": "kafka", "bootstrap_servers": servers, "topic": self.name, "value": {"format": "json"}}

    def fill(self, rows: Iterable[Row]) -> None:
        kafka_topics.ensure(Connection(self.platform.stack.bootstrap_servers), {self.name: 3})
        producer = Producer(
            {
                "bootstrap.servers": self.platform.stack.bootstrap_servers,
                "queue.buffering.max.messages": 1_000_000,
                "enable.idempotence": True,  # what is sent again keeps its place
            }
        )
        for row in rows:
            producer.produce(self.name, json.dumps(row._asdict()), row.device)
        assert producer.flush(60) == 0

    def kill(self) -> None:
        """Nothing: see the class."""

    def restart(self) -> None:
        """Nothing: see the class."""


def _write_csv(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Row._fields)
        writer.writerows(rows)
