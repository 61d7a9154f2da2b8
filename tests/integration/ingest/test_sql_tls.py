"""The `sql` connector believes the certificates it is told to believe, on a real MariaDB and a real PostgreSQL."""

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import adbc_driver_postgresql.dbapi
import pymysql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headrace.connector import Connector, Step, Surroundings, opened
from headrace.connector.conformance import LOOPBACK
from services.ingest.connectors.sql.settings import SqlSource
from tests.mariadb import MariaDb
from tests.stack import free_ports

NAME = "localhost"
"""The one name in the certificate: the address 127.0.0.1 is not in it."""


@dataclass(frozen=True)
class Certificates:
    """A folder with `ca.pem`, a server's `cert.pem` and `key.pem`, and `other.pem` of an authority that has signed nothing."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> "Certificates":
        ca_key, ca = _signed("authority")
        _, other = _signed("another")
        key, certificate = _signed(NAME, ca_key, ca)
        for name, each in (("ca", ca), ("other", other), ("cert", certificate)):
            (folder / f"{name}.pem").write_bytes(each.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / "key.pem").write_bytes(private)
        (folder / "key.pem").chmod(0o600)
        folder.chmod(0o755)
        return cls(folder)

    def given_to(self, user: str) -> None:
        """Let the server's user read the key."""
        if os.geteuid() == 0:
            shutil.chown(self.folder / "key.pem", user)


def _signed(
    name: str, by: ec.EllipticCurvePrivateKey | None = None, issuer: x509.Certificate | None = None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signer = by or key
    building = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if issuer is None:
        usage = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        building = building.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
    else:
        building = building.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return key, building.sign(signer, hashes.SHA256())


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that servers of other users can reach into."""
    with tempfile.TemporaryDirectory(prefix="headrace-tls-") as found:
        yield Path(found)


@pytest.fixture(scope="module")
def certificates(folder: Path) -> Certificates:
    return Certificates.made(folder)


@pytest.fixture(scope="module")
def mariadb_settings(certificates: Certificates) -> Iterator[dict[str, Any]]:
    """How a MariaDB is reached that encrypts."""
    certificates.given_to("mysql")
    home = Path(tempfile.mkdtemp(prefix="headrace-mariadb-"))
    (port,) = free_ports(1)
    files = (f"--ssl-{name}={certificates.folder / f'{name}.pem'}" for name in ("ca", "cert", "key"))
    server = MariaDb(home, port, [*files])
    try:
        server.install()
        server.start()
        try:
            with pymysql.connect(
                host="127.0.0.1", port=port, user="root", database="shop", autocommit=True
            ) as connection:
                connection.cursor().execute("CREATE TABLE t (id int PRIMARY KEY)")
                connection.cursor().execute("INSERT INTO t VALUES (1), (2)")
            yield {"database": "mysql", "port": port, "name": "shop", "user": "root"}
        finally:
            server.kill()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres_settings(certificates: Certificates, postgres_url: str) -> Iterator[dict[str, Any]]:
    """How a PostgreSQL is reached that encrypts for as long as the test runs."""
    certificates.given_to("postgres")
    at = urlparse(postgres_url)

    def execute(*statements: str) -> None:
        with adbc_driver_postgresql.dbapi.connect(postgres_url, autocommit=True) as connection:
            for statement in statements:
                with connection.cursor() as cursor:
                    cursor.execute(statement)

    files = (f"ALTER SYSTEM SET ssl_{name}_file = '{certificates.folder / f'{name}.pem'}'" for name in ("cert", "key"))
    execute(*files, "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
    execute(
        "CREATE TABLE IF NOT EXISTS tls (id int PRIMARY KEY)", "INSERT INTO tls VALUES (1), (2) ON CONFLICT DO NOTHING"
    )
    try:
        where = {"port": at.port, "name": at.path[1:], "user": at.username, "table": "tls"}
        yield {"database": "postgresql", **where}
    finally:
        execute("ALTER SYSTEM RESET ssl", "SELECT pg_reload_conf()")


@pytest.fixture(params=["mariadb", "postgres"])
def where(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.getfixturevalue(f"{request.param}_settings")
    return found


def connector(where: dict[str, Any], folder: Path, **settings: Any) -> Connector:
    source = SqlSource.model_validate({"type": "sql", "table": "t", "key": ["id"], **where, **settings})
    return opened(source, Surroundings("a.b", targets=LOOPBACK, folder=folder))


def tls(steps: list[Step]) -> Step:
    return next(step for step in steps if step.name == "tls")


@pytest.mark.parametrize(
    "settings",
    [
        {"sslmode": "prefer", "host": "127.0.0.1"},
        {"sslmode": "require", "host": "127.0.0.1"},
        {"sslmode": "verify-ca", "host": "127.0.0.1", "ca": "ca.pem"},
        {"sslmode": "verify-full", "host": NAME, "ca": "ca.pem"},
    ],
)
def test_rows_travel_encrypted(where: dict[str, Any], folder: Path, settings: dict[str, Any]) -> None:
    found = connector(where, folder, **settings)
    steps = list(found.check())
    assert [step for step in steps if not step.ok] == []
    assert tls(steps).message.startswith("TLS")
    assert sum(fetched.rows_read for fetched, _ in found.read(None)) == 2


def test_the_control_without_it_they_do_not(where: dict[str, Any], folder: Path) -> None:
    found = connector(where, folder, sslmode="disable", host="127.0.0.1")
    assert tls(list(found.check())).message == "the connection is not encrypted"
    assert sum(fetched.rows_read for fetched, _ in found.read(None)) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"sslmode": "verify-ca", "host": "127.0.0.1", "ca": "other.pem"},
        {"sslmode": "verify-full", "host": NAME, "ca": "other.pem"},
        {"sslmode": "verify-full", "host": NAME},
        {"sslmode": "verify-full", "host": "127.0.0.1", "ca": "ca.pem"},
    ],
)
def test_a_certificate_that_is_not_to_be_believed_ends_the_check(
    where: dict[str, Any], folder: Path, settings: dict[str, Any]
) -> None:
    step = list(connector(where, folder, **settings).check())[-1]
    assert (step.name, step.ok, step.field) == ("tls", False, "source.ca"), step
