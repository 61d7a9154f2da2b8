"""The `kafka` connector on a broker with certificates and passwords, and on one that sends its clients elsewhere."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from deploy.local import kafka as local_kafka
from deploy.local.settings import StackSettings
from headrace.connector import Connector, Surroundings, opened
from headrace.connector.conformance import LOOPBACK
from headrace.errors import Fatal
from headrace.stream.kafka import Connection
from headrace.stream.kafka import topics as kafka_topics
from services.ingest.connectors.kafka.settings import KafkaSource
from tests.stack import free_ports, running

TOPIC = "shop.orders"
PASSWORD = "a-password-nobody-may-see"
NAMES = ("TLS", "SASL", "BOTH", "ELSEWHERE")


@dataclass(frozen=True, slots=True)
class Secured:
    """Where the listeners of the broker are, by name, and the folder with the certificate of who signed its own."""

    ports: dict[str, int]
    folder: Path

    def connect(self, listener: str, password: str = PASSWORD, host: str = "127.0.0.1", **settings: Any) -> Connector:
        where = {"type": "kafka", "topic": TOPIC, "bootstrap_servers": f"{host}:{self.ports[listener]}"}
        surroundings = Surroundings("a.b", folder=self.folder, secret=lambda _: SecretStr(password), targets=LOOPBACK)
        return opened(KafkaSource.model_validate({**where, **settings}), surroundings)


def sasl(mechanism: str, user: str = "reader") -> dict[str, str]:
    return {"mechanism": mechanism, "username": user, "password": "secret://kafka"}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker of its own."""
    folder = tmp_path_factory.mktemp("certificates")
    issue_certificates(folder)
    ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
    configure = local_kafka._configure

    def configure_more(settings: StackSettings, home: Path) -> None:
        configure(settings, home)
        with (home / "server.properties").open("a") as properties:
            properties.write(listeners(settings, ports, folder))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(local_kafka, "_configure", configure_more)
        with running(("kafka",)) as stack:
            connection = Connection(stack.bootstrap_servers)
            kafka_topics.ensure(connection, {TOPIC: 1})
            hashed = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
            user = UserScramCredentialUpsertion("reader", hashed, PASSWORD.encode())
            admin = AdminClient(connection.client())  # kept until it has the answer
            admin.alter_user_scram_credentials([user])["reader"].result(30)
            producer = Producer(connection.client())
            producer.produce(TOPIC, b'{"id": 1}', partition=0)
            assert producer.flush(30) == 0
            yield Secured(ports, folder)


def listeners(settings: StackSettings, ports: dict[str, int], folder: Path) -> str:
    own = f"PLAINTEXT://127.0.0.1:{settings.kafka_port}"
    controller = f"CONTROLLER://127.0.0.1:{settings.kafka_controller_port}"
    here = ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())
    told = here.replace(f"ELSEWHERE://127.0.0.1:{ports['ELSEWHERE']}", "ELSEWHERE://169.254.169.254:80")
    lines = [
        f"listeners={own},{controller},{here}",
        f"advertised.listeners={own},{told}",
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,ELSEWHERE:PLAINTEXT,"
        "TLS:SSL,SASL:SASL_PLAINTEXT,BOTH:SASL_SSL",
        "inter.broker.listener.name=PLAINTEXT",
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512",
        "ssl.keystore.type=PEM",
        f"ssl.keystore.location={folder / 'broker.pem'}",
    ]
    for name in ("sasl", "both"):
        login = "org.apache.kafka.common.security"
        lines += [
            f'listener.name.{name}.plain.sasl.jaas.config={login}.plain.PlainLoginModule required user_reader="{PASSWORD}";',
            f"listener.name.{name}.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;",
        ]
    return "\n".join(["", *lines, ""])


def issue_certificates(folder: Path) -> None:
    """Write `ca.pem`, `broker.pem` (key and certificate, for 127.0.0.1 only), and `other.pem`, which signed nothing."""
    now = dt.datetime.now(dt.UTC)

    def certificate(name: str, key: Any, issuer: Any, signer: Any, authority: bool) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if issuer is None else issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if authority:
            usage = dict.fromkeys(
                ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
            ) | {"encipher_only": False, "decipher_only": False}
            builder = builder.add_extension(
                x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True
            )
        else:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
            signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
            builder = builder.add_extension(names, critical=False).add_extension(signed_by, critical=False)
        return builder.sign(signer, hashes.SHA256())

    pem = serialization.Encoding.PEM
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    authority = certificate("authority", keys[0], None, keys[0], True)
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "other.pem").write_bytes(certificate("other", keys[1], None, keys[1], True).public_bytes(pem))
    broker = certificate("broker", keys[2], authority, keys[0], False)
    private = keys[2].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "broker.pem").write_bytes(private + broker.public_bytes(pem) + authority.public_bytes(pem))


TLS = {"security": "ssl", "ca_file": "ca.pem"}


@pytest.mark.parametrize(
    ("listener", "settings"),
    [
        ("TLS", TLS),
        ("SASL", {"security": "sasl_plaintext", "sasl": sasl("plain")}),
        ("SASL", {"security": "sasl_plaintext", "sasl": sasl("scram-sha-512")}),
        ("BOTH", {**TLS, "security": "sasl_ssl", "sasl": sasl("scram-sha-512")}),
    ],
)
def test_who_shows_what_is_asked_for_reads(secured: Secured, listener: str, settings: dict[str, Any]) -> None:
    connector = secured.connect(listener, **settings)
    assert [step.message for step in connector.check() if not step.ok] == []
    rows = [row for fetched, _ in connector.read(None) for row in fetched.rows.to_pylist()]
    assert rows == [{"id": 1}]


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-512"])
def test_a_wrong_password_stops_the_source_at_once(
    secured: Secured, mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings: dict[str, Any] = {"security": "sasl_plaintext", "sasl": sasl(mechanism)}
    connector = secured.connect("SASL", "not-the-password", **settings)
    *earlier, step = connector.check()
    assert all(each.ok for each in earlier)
    assert (step.name, step.ok, step.field) == ("authenticate", False, "source.sasl")
    assert "correct source.sasl" in step.message
    with pytest.raises(Fatal, match="Authentication failed"):
        list(connector.read(None))
    assert "not-the-password" not in caplog.text + step.message


@pytest.mark.parametrize(
    ("settings", "host", "said"),
    [
        ({"security": "ssl", "ca_file": "other.pem"}, "127.0.0.1", "certificate of 127.0.0.1:.* does not hold"),
        ({"security": "ssl"}, "127.0.0.1", "does not hold"),
        (TLS, "localhost", "certificate of localhost:.* does not hold: Hostname mismatch"),
    ],
)
def test_a_certificate_that_does_not_hold_is_found(
    secured: Secured, settings: dict[str, Any], host: str, said: str
) -> None:
    connector = secured.connect("TLS", host=host, **settings)
    *_, step = connector.check()
    assert (step.name, step.ok) == ("connect", False)
    with pytest.raises(Fatal, match=said):
        raise Fatal(step.message)
    with pytest.raises(Fatal, match="certificate verify failed"):
        list(connector.read(None))


def test_a_cluster_that_sends_its_clients_to_a_forbidden_address_is_refused(secured: Secured) -> None:
    connector = secured.connect("ELSEWHERE")
    *_, step = connector.check()
    assert (step.name, step.ok, step.field) == ("brokers", False, "source.bootstrap_servers")
    assert "169.254.169.254" in step.message
    with pytest.raises(Fatal, match=r"169\.254\.169\.254.*may not be reached"):
        list(connector.read(None))
