"""What can be set about the local stack: HEADRACE_STACK_* in the environment, each with a default that fits a laptop."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

HOST = "127.0.0.1"
"""Everything listens here and nowhere else."""


class StackSettings(BaseSettings):
    """Ports, memory caps and folders. Two stacks run side by side when their ports and data folders differ."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_STACK_", frozen=True, extra="forbid")

    data_dir: Path = Field(Path(".headrace"), description="Data, logs and secrets of this stack.")
    cache_dir: Path = Field(
        Path("~/.cache/headrace"), description="Downloaded programs; outlives the data, shared by stacks."
    )

    kafka_port: int = Field(9092, description="The broker.")
    kafka_controller_port: int = Field(9093, description="The broker's own controller.")
    registry_port: int = Field(8081, description="The schema registry.")
    registry_management_port: int = Field(8082, description="The schema registry's health and metrics.")
    warehouse_port: int = Field(8123, description="The warehouse.")
    connect_port: int = Field(8083, description="Kafka Connect, where it is part of the stack.")
    gateway_port: int = Field(8080, description="API, portal and metrics of the gateway.")
    ingest_port: int = Field(8090, description="HTTP push and metrics of ingest.")
    stager_port: int = Field(9101, description="Metrics of the stager.")
    transformer_port: int = Field(9102, description="Metrics of the transformer.")
    quality_port: int = Field(9103, description="Metrics of quality.")
    loader_port: int = Field(9104, description="Metrics of the loader.")

    kafka_heap_mb: int = Field(512, ge=256, description="The broker's heap.")
    registry_heap_mb: int = Field(256, ge=192, description="The registry's heap.")
    warehouse_memory_mb: int = Field(2000, ge=400, description="Cap on the warehouse engine.")
    connect_heap_mb: int = Field(
        512, ge=256, description="The heap of Kafka Connect; the process takes about twice that."
    )

    log_level: str = Field("info", description="Of the services: debug, info, warning or error.")
    service_environment: dict[str, str] = Field(
        {}, description="Further variables for every service, as a JSON object, such as HEADRACE_MAX_BATCH_ROWS."
    )
    log_size_mb: int = Field(20, ge=1, description="A log is turned over at this size; one older piece is kept.")
    start_timeout_s: float = Field(120, gt=0, description="A component that is not ready by then is a failure.")
    stop_timeout_s: float = Field(30, gt=0, description="A component that has not stopped by then is killed.")

    def port_of(self, component: str) -> int:
        """The port of a component's first instance."""
        return int(getattr(self, f"{component}_port"))

    @property
    def home(self) -> Path:
        """The data folder, independent of the folder a command is run in later."""
        return self.data_dir.expanduser().absolute()

    @property
    def cache(self) -> Path:
        return self.cache_dir.expanduser().absolute()

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def files(self) -> Path:
        """Where the relative path of a file source starts."""
        return self.home / "files"

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST}:{self.kafka_port}"

    @property
    def registry_url(self) -> str:
        """The registry's Confluent API."""
        return f"http://{HOST}:{self.registry_port}/apis/ccompat/v7"

    @property
    def connect_url(self) -> str:
        """The REST interface of Kafka Connect."""
        return f"http://{HOST}:{self.connect_port}"

    @property
    def connect_secrets(self) -> Path:
        """Where ingest leaves the passwords that connectors name."""
        return self.home / "connect" / "secrets"

    @property
    def warehouse_url(self) -> str:
        return f"http://{HOST}:{self.warehouse_port}"

    @property
    def gateway_url(self) -> str:
        return f"http://{HOST}:{self.gateway_port}"

    @property
    def ingest_url(self) -> str:
        return f"http://{HOST}:{self.ingest_port}"
