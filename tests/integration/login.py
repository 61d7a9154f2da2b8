"""A PostgreSQL user whose password is asked for: the cluster of the tests trusts everybody else."""

import uuid
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlparse

import adbc_driver_postgresql.dbapi
from adbc_driver_manager import Error
from adbc_driver_manager.dbapi import Connection

from tests.stack import eventually


class Login:
    """A user of its own, who may read a table of its own, `rows` (id, name)."""

    def __init__(self, url: str, password: str) -> None:
        self._url = url
        self.user = f"u{uuid.uuid4().hex[:10]}"
        self.table = f"{self.user}_rows"
        self._execute(f"CREATE ROLE {self.user} LOGIN")
        self.set_password(password)
        self._execute(f"CREATE TABLE {self.table} (id bigint PRIMARY KEY, name text)")
        self._execute(f"GRANT SELECT ON {self.table} TO {self.user}")
        [(rules,)] = self._asked("SELECT current_setting('hba_file')")
        file = Path(rules)
        file.write_text(f"host all {self.user} 127.0.0.1/32 scram-sha-256\n{file.read_text()}")
        self._execute("SELECT pg_reload_conf()")
        eventually(lambda: not self._lets_in("wrong"), 30, "the password is asked for")

    def set_password(self, password: str) -> None:
        literal = password.replace("'", "''")
        self._execute(f"ALTER ROLE {self.user} PASSWORD '{literal}'")

    def add(self, first: int, count: int, name: str = "a name") -> None:
        """Rows with the ids from `first` on."""
        literal = name.replace("'", "''")
        ids = f"generate_series({first}, {first + count - 1}) AS n"
        self._execute(f"INSERT INTO {self.table} SELECT n, '{literal}' FROM {ids}")

    def source(self, secret: str) -> dict[str, Any]:
        """The source of a dataset file that reads the table as this user."""
        at = urlparse(self._url)
        return {
            "type": "sql",
            "database": "postgresql",
            "host": at.hostname,
            "port": at.port,
            "name": at.path[1:],
            "user": self.user,
            "password": f"secret://{secret}",
            "table": self.table,
            "key": ["id"],
        }

    def _lets_in(self, password: str) -> bool:
        at = urlparse(self._url)
        url = f"postgresql://{self.user}:{quote(password, safe='')}@{at.hostname}:{at.port}{at.path}"
        try:
            adbc_driver_postgresql.dbapi.connect(url).close()
        except Error:
            return False
        return True

    def _connected(self) -> Connection:
        connection: Connection = adbc_driver_postgresql.dbapi.connect(self._url, autocommit=True)
        return connection

    def _execute(self, sql: str) -> None:
        with closing(self._connected()) as connection, connection.cursor() as cursor:
            cursor.execute(sql)

    def _asked(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(self._connected()) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found
