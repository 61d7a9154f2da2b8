"""What ingest is told by its environment, on top of what every service is told."""

from pathlib import Path
from threading import Semaphore

from pydantic import Field, IPvAnyNetwork, SecretStr

from headrace.access.settings import TokenSettings
from headrace.connector import WarehouseAccess
from headrace.connector.limits import Limits
from headrace.secrets.settings import KeySettings
from headrace.stream.service import ServiceSettings


class IngestSettings(ServiceSettings, KeySettings, TokenSettings):
    """See `headrace.stream.service.ServiceSettings` and `headrace.secrets.settings.KeySettings`."""

    source_dir: Path = Field(Path(), description="Where the relative path of a file source starts.")
    source_roots: list[Path] = Field(
        [], description="Further folders that file sources may read from, as a JSON list; else only `source_dir`."
    )
    source_networks: list[IPvAnyNetwork] = Field(
        [],
        description='Private networks that sources may reach, as a JSON list such as `["10.1.0.0/16"]`; '
        "else only global addresses.",
    )
    connect_url: str | None = Field(None, description="Kafka Connect, for sources whose changes are captured.")
    connect_secrets: Path = Field(
        Path("connect-secrets"),
        description="A folder that Kafka Connect reads passwords from and ingest writes them to; nobody else should see it.",
    )
    source_max_unpacked_bytes: int = Field(100 << 30, ge=1, description="What one packed source file may unpack to.")
    source_max_ratio: float = Field(
        200.0, ge=1, description="How many times its size a packed source file may unpack to, beyond the first 64 MB."
    )
    source_max_members: int = Field(10_000, ge=1, description="How many files one zip of a source may hold.")
    source_max_workbook_bytes: int = Field(
        64 << 20,
        ge=1,
        description="The largest workbook (Excel, ODS) that is read; it may take 16 times that of memory.",
    )
    source_max_row_group_bytes: int = Field(
        1 << 30, ge=1, description="The largest row group of a Parquet file that is read, unpacked."
    )
    source_max_block_bytes: int = Field(64 << 20, ge=1, description="The largest block of an Avro file, unpacked.")
    poll_interval_s: float = Field(1.0, gt=0, description="How often files that were read are looked at for more.")
    settle_s: float = Field(
        2.0, ge=0, description="After this long without a write, a last line without a line end is whole."
    )
    http_host: str = Field("127.0.0.1", description="Where HTTP push, /metrics and /healthz listen.")
    http_port: int = Field(8090, ge=0, le=65535, description="The port of HTTP push, /metrics and /healthz.")
    push_token: SecretStr | None = Field(
        None, description="The bearer token of HTTP push; without one, every push is refused."
    )
    push_max_body_bytes: int = Field(16 << 20, ge=1, description="The largest body of one request.")
    push_queue_bytes: int = Field(64 << 20, ge=1, description="How much may wait for one dataset's transaction.")
    push_timeout_s: float = Field(30.0, gt=0, description="How long a request waits for its transaction.")

    warehouse_url: str = Field("http://127.0.0.1:8123", description="The warehouse, which models read.")
    warehouse_reader_user: str = Field("reader", description="Who reads for models: an account that can only read.")
    warehouse_reader_password: SecretStr = Field(SecretStr(""), description="The reader's password.")
    model_timeout_s: int = Field(600, ge=1, description="The query of a model is stopped after this long.")
    model_memory_bytes: int = Field(1 << 30, ge=1 << 20, description="The most memory the query of a model may take.")
    models_at_once: int = Field(2, ge=1, description="So many queries of models run at once, others wait for a turn.")
    model_max_rows: int = Field(100_000_000, ge=1, description="The most rows a model may give in one run.")

    def limits(self) -> Limits:
        """How much one source file may ask for."""
        return Limits(
            self.source_max_unpacked_bytes,
            self.source_max_ratio,
            self.source_max_members,
            self.source_max_workbook_bytes,
            self.source_max_row_group_bytes,
            self.source_max_block_bytes,
        )

    def warehouse(self, turns: Semaphore | None = None) -> WarehouseAccess:
        """What models read, and how much of it they may take."""
        return WarehouseAccess(
            self.warehouse_url,
            self.warehouse_reader_user,
            self.warehouse_reader_password,
            self.model_timeout_s,
            self.model_memory_bytes,
            self.model_max_rows,
            self.data_dir / "models",
            turns,
        )
