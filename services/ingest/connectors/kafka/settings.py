"""What a dataset file says of a Kafka topic."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field as Setting
from pydantic import StringConstraints, field_validator, model_validator

from headrace.contract.section import Section
from headrace.contract.source import SourceSettings
from headrace.secrets.reference import Credential
from services.ingest.connectors.kafka.servers import servers_of

#: A leading underscore is reserved for system columns.
PlainColumn = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=128)]


class RegistryOptions(Section):
    """A schema registry with Confluent's API. It is only read."""

    url: str = Setting(pattern=r"^https?://", description="Where it is: `https://registry.example.com`.")
    username: str | None = Setting(None, description="Who asks, where it wants to know.")
    password: Credential | None = Setting(None, description="The password, as `secret://name`.")
    ca_file: str | None = Setting(
        None, description="A file of certificates to trust instead of the usual ones; it lies where files may be read."
    )
    patience_s: float = Setting(
        60.0,
        ge=0,
        description="A registry that has just started denies schemas that it has not read yet. For this long, messages "
        "whose schema it denies are held; then they are set aside.",
    )

    @field_validator("url")
    @classmethod
    def _without_credentials(cls, url: str) -> str:
        parts = urlsplit(url)
        if not parts.hostname or parts.username is not None or parts.password is not None:
            raise ValueError("an address of a host; a user name and a password have settings of their own")
        return url


class Encoding(Section):
    """How bytes hold values."""

    format: Literal["json", "avro", "string", "bytes"] = Setting(
        "json",
        description="`json`: an object. `avro`: with a `registry` in Confluent's wire format, with `avro_schema` as bare "
        "records of that schema. `string` and `bytes`: the whole value is one column.",
    )
    registry: RegistryOptions | None = Setting(None, description="For avro: where the schemas of messages are found.")
    avro_schema: str | None = Setting(None, min_length=2, description="For avro: the one schema, as JSON text.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = [each for each in (self.registry, self.avro_schema) if each is not None]
        if self.format == "avro" and len(given) != 1:
            raise ValueError("a registry or an avro_schema for avro, one of both")
        if self.format != "avro" and given:
            raise ValueError("format: avro, as only Avro has a registry or an avro_schema")
        return self


class ValueOptions(Encoding):
    """How the values of messages are written."""

    column: PlainColumn = Setting("value", description="For string and bytes: the name of the column.")


class KeyOptions(Encoding):
    """How the keys of messages are written, and which columns of the row they hold: for tombstones."""

    format: Literal["json", "avro", "string", "bytes"] = Setting(
        "string", description="As for values; with string and bytes the whole key is the one column of `columns`."
    )
    columns: list[PlainColumn] = Setting(
        min_length=1, description="The columns that the key holds; they should be those of the dataset's `key`."
    )

    @model_validator(mode="after")
    def _one_column(self) -> Self:
        if self.format in ("string", "bytes") and len(self.columns) != 1:
            raise ValueError("one column, as a key of text or bytes is one value")
        return self


class SaslOptions(Section):
    """Who reads."""

    mechanism: Literal["plain", "scram-sha-256", "scram-sha-512"] = Setting(
        "scram-sha-512", description="How the password is shown to be known."
    )
    username: str = Setting(min_length=1, description="The user. One who may do nothing but read is best.")
    password: Credential = Setting(description="The password, as `secret://name`.")


class MetadataColumns(Section):
    """Columns for what a message is beside its value, each under the name given here; those not named are left out."""

    key: PlainColumn | None = Setting(None, description="The message's key, as text.")
    partition: PlainColumn | None = Setting(None, description="The partition it was read from.")
    offset: PlainColumn | None = Setting(None, description="Its offset there.")
    timestamp: PlainColumn | None = Setting(None, description="Its timestamp: the producer's, or the broker's.")
    headers: PlainColumn | None = Setting(
        None, description="Its headers: a list of names and values, as a name may come twice."
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [name for name in self.named.values() if name is not None]
        if len(set(names)) < len(names):
            raise ValueError("a name of its own for each column")
        return self

    @property
    def named(self) -> dict[str, str]:
        """The names of the columns that are wanted, by what they hold."""
        every = {
            "key": self.key,
            "partition": self.partition,
            "offset": self.offset,
            "timestamp": self.timestamp,
            "headers": self.headers,
        }
        return {what: name for what, name in every.items() if name is not None}


class KafkaSource(SourceSettings):
    """A topic of any Kafka cluster, read from a start, then watched for more. Nothing is written there, not even offsets."""

    ends: ClassVar[bool] = False

    type: Literal["kafka"] = Setting(description="The connector.")
    bootstrap_servers: str = Setting(
        min_length=1, description="Some brokers to begin with: `host:port`, several with commas between them."
    )
    topic: str = Setting(pattern=r"^[A-Za-z0-9._-]{1,249}$", description="The topic.")
    start: Literal["earliest", "latest", "timestamp"] = Setting(
        "earliest",
        description="Where the first reading starts. Partitions that come later are read from their beginning.",
    )
    start_time: str | None = Setting(
        None, description="For `start: timestamp`: messages of this time and later, as in `2026-01-31T00:00:00Z`."
    )
    isolation: Literal["read_committed", "read_uncommitted"] = Setting(
        "read_committed", description="Whether messages of transactions that are open or were aborted are passed over."
    )
    value: ValueOptions = Setting(ValueOptions(), description="How the values of messages are written.")
    metadata: MetadataColumns = Setting(
        MetadataColumns(), description="Columns for what a message is beside its value."
    )
    tombstones: Literal["skip", "delete"] = Setting(
        "skip",
        description="What a message without a value is: nothing, or (`delete`) the deletion of the row with its key, for "
        "`load.mode: upsert`.",
    )
    key: KeyOptions | None = Setting(None, description="For `tombstones: delete`: what the keys of messages are.")
    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Setting(
        "plaintext", description="How brokers are spoken to."
    )
    sasl: SaslOptions | None = Setting(None, description="For `sasl_plaintext` and `sasl_ssl`: who reads.")
    ca_file: str | None = Setting(
        None,
        description="For `ssl` and `sasl_ssl`: a file of certificates to trust instead of the usual ones; it lies where "
        "files may be read.",
    )
    on_lost: Literal["stop", "continue"] = Setting(
        "stop",
        description="What happens when messages were deleted in the topic before they were read: reading stops until "
        "somebody decides, or it says so in the log and goes on with what is left.",
    )

    @field_validator("bootstrap_servers")
    @classmethod
    def _servers(cls, text: str) -> str:
        servers_of(text)
        return text

    @field_validator("start_time")
    @classmethod
    def _instant(cls, text: str | None) -> str | None:
        if text is not None and datetime.fromisoformat(text).tzinfo is None:
            raise ValueError("a time with its zone, such as 2026-01-31T00:00:00Z")
        return text

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.start == "timestamp") != (self.start_time is not None):
            raise ValueError("start: timestamp and a start_time, both or none")
        if self.security.startswith("sasl") != (self.sasl is not None):
            raise ValueError("security: sasl_plaintext or sasl_ssl, and sasl, both or none")
        if self.ca_file is not None and not self.security.endswith("ssl"):
            raise ValueError("security: ssl or sasl_ssl, as there are no certificates without")
        if (self.tombstones == "delete") != (self.key is not None):
            raise ValueError("tombstones: delete and a key, both or none")
        return self

    def why_no_backfill(self, mode: str) -> str:
        """See `SourceSettings.why_no_backfill`."""
        if mode != "upsert":
            return ""
        return "older messages, read again, would take the place of the newer rows of their keys"

    @property
    def start_ms(self) -> int | None:
        """The start as a timestamp in milliseconds since the epoch, if it is one."""
        return int(datetime.fromisoformat(self.start_time).timestamp() * 1000) if self.start_time is not None else None
