"""Files of an SFTP server: a real one, run by asyncssh in a thread of the test."""

import asyncio
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from pydantic import SecretStr

from headrace.connector import Connector, Step, Surroundings, Targets, opened
from headrace.connector.conformance import LOOPBACK, Conformance, Row
from headrace.errors import Fatal, Transient
from services.ingest.connectors.file.settings import FileSource
from tests.integration.ingest.rows import csv, numbered, read_all

PASSWORD = "canary-sftp-password"


class SshServer(asyncssh.SSHServer):
    """Lets in one user, and remembers whom it talks to."""

    def __init__(self, connections: list[asyncssh.SSHServerConnection]) -> None:
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connections.append(conn)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return username == "reader" and password == PASSWORD


class Sftp:
    """A server of one folder, on a port of its own, until it is stopped."""

    def __init__(self, folder: Path, trusted: asyncssh.SSHKey) -> None:
        self.folder = folder
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self._trusted = folder.parent / f"{folder.name}.keys"
        self._trusted.write_bytes(trusted.export_public_key())
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.port = 0
        self._connections: list[asyncssh.SSHServerConnection] = []
        self.start()

    @property
    def fingerprint(self) -> str:
        return str(self.key.get_fingerprint())

    def start(self) -> None:
        self._server: Any = asyncio.run_coroutine_threadsafe(self._listen(), self.loop).result(20)
        self.port = self._server.get_port()

    async def _listen(self) -> Any:
        folder = os.fsencode(self.folder)
        return await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=lambda: SshServer(self._connections),
            server_host_keys=[self.key],
            authorized_client_keys=str(self._trusted),
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=folder),
        )

    def stop(self) -> None:
        """Stop at once: whoever is connected sees the connection end."""

        async def stopped() -> None:
            self._server.close()
            for connection in self._connections:
                connection.abort()
            self._connections.clear()

        asyncio.run_coroutine_threadsafe(stopped(), self.loop).result(20)

    def close(self) -> None:
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)


class Folder:
    """Two files at the server, and a third when there is to be more."""

    def __init__(self, server: Sftp, client_key: asyncssh.SSHKey) -> None:
        self.server = server
        self.secrets = {
            "password": SecretStr(PASSWORD),
            "wrong": SecretStr("canary-wrong"),
            "key": SecretStr(client_key.export_private_key().decode()),
            "garbage": SecretStr("canary-no-key"),
        }
        self.rows: list[Row] = []
        (server.folder / "data").mkdir()
        self.add(), self.add()

    def add(self) -> Sequence[Row]:
        """See `SourceUnderTest.add`."""
        rows = numbered(len(self.rows), 20)
        (self.server.folder / "data" / f"{len(self.rows):03}.csv").write_bytes(csv(rows))
        self.rows += rows
        return rows

    def source(self, path: str = "data/*.csv", port: int | None = None, **storage: Any) -> FileSource:
        given = {"user": "reader", "password": "secret://password", "host_keys": [self.server.fingerprint], **storage}
        given = {name: value for name, value in given.items() if value is not None}
        url = f"sftp://127.0.0.1:{port or self.server.port}/{path}"
        return FileSource.model_validate({"type": "file", "path": url, "storage": given})

    def connect(self, surroundings: Surroundings) -> Connector:
        """See `SourceUnderTest.connect`."""
        return opened(self.source(), replace(surroundings, secret=self.secrets.__getitem__))

    def unreachable(self) -> Connector:
        """See `SourceUnderTest.unreachable`."""
        return self.reader(port=1)

    def reader(self, path: str = "data/*.csv", targets: Targets = LOOPBACK, **settings: Any) -> Connector:
        surroundings = Surroundings("a.b", batch_rows=7, settle_s=0.0, secret=self.secrets.__getitem__, targets=targets)
        return opened(self.source(path, **settings), surroundings)


@pytest.fixture(scope="module")
def client_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def folder(tmp_path: Path, client_key: asyncssh.SSHKey) -> Iterator[Folder]:
    (tmp_path / "served").mkdir()
    server = Sftp(tmp_path / "served", client_key)
    yield Folder(server, client_key)
    server.close()


class TestSftp(Conformance):
    @pytest.fixture
    def source(self, folder: Folder) -> Folder:
        return folder


def last(connector: Connector) -> Step:
    return list(connector.check())[-1]


def test_check_says_each_step(folder: Folder) -> None:
    steps = list(folder.reader().check())
    assert all(step.ok for step in steps)
    assert [step.name for step in steps] == ["resolve", "connect", "host key", "authenticate", "list", "format", "read"]


def test_a_key_in_place_of_a_password(folder: Folder) -> None:
    assert read_all(folder.reader(password=None, private_key="secret://key"))[0] == folder.rows


def test_a_line_of_known_hosts_in_place_of_a_fingerprint(folder: Folder) -> None:
    line = "some.host " + folder.server.key.export_public_key().decode()
    assert read_all(folder.reader(host_keys=[line]))[0] == folder.rows


def test_a_server_with_another_key_is_not_talked_to(folder: Folder) -> None:
    other = str(asyncssh.generate_private_key("ssh-ed25519").get_fingerprint())
    step = last(folder.reader(host_keys=[other]))
    assert (step.name, step.ok, step.field) == ("host key", False, "source.storage.host_keys")
    assert folder.server.fingerprint in step.message, "so that it can be compared"
    with pytest.raises(Fatal, match="host_keys"):
        read_all(folder.reader(host_keys=[other]))


@pytest.mark.parametrize("given", [{"password": "secret://wrong"}, {"user": "nobody"}])
def test_whoever_is_not_let_in_is_told_which_setting_it_is(folder: Folder, given: dict[str, Any]) -> None:
    step = last(folder.reader(**given))
    assert (step.name, step.ok, step.field) == ("authenticate", False, "source.storage.password")
    assert "canary" not in step.message
    with pytest.raises(Fatal) as raised:
        read_all(folder.reader(**given))
    assert "canary" not in str(raised.value)


def test_what_is_no_private_key_is_said_without_showing_it(folder: Folder) -> None:
    step = last(folder.reader(password=None, private_key="secret://garbage"))
    assert (step.name, step.ok, step.field) == ("authenticate", False, "source.storage.private_key")
    assert "canary" not in step.message


def test_a_network_that_is_not_allowed_is_not_reached(folder: Folder) -> None:
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_NETWORKS"):
        read_all(folder.reader(targets=Targets()))


def test_a_server_that_was_away_is_connected_to_again(folder: Folder) -> None:
    reader = folder.reader()
    _, position = read_all(reader)
    folder.server.stop()
    with pytest.raises(Transient):
        read_all(reader, position)
    folder.server.start()
    added = folder.add()
    assert read_all(reader, position)[0] == added


def test_a_renamed_file_is_not_read_again_and_a_grown_one_goes_on(folder: Folder) -> None:
    _, position = read_all(folder.reader())
    data = folder.server.folder / "data"
    (data / "000.csv").rename(data / "z.csv")
    with (data / "020.csv").open("ab") as more:
        more.write(csv(numbered(100, 5)).partition(b"\n")[2])
    assert read_all(folder.reader(), position)[0] == numbered(100, 5)


def test_a_pattern_that_nothing_matches_is_no_error(folder: Folder) -> None:
    assert read_all(folder.reader("none/*.csv"))[0] == []
    step = last(folder.reader("none/*.csv"))
    assert (step.name, step.ok, step.field) == ("list", False, "source.path")
