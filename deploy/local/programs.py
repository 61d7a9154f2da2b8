"""How the warehouse and the six services are started: as Python modules, told everything by their environment."""

import sys

from deploy.local.component import Component
from deploy.local.credentials import READER, WRITER, Credentials, master_keys
from deploy.local.probe import answers
from deploy.local.settings import HOST, StackSettings

SERVICES = ("ingest", "stager", "transformer", "quality", "loader", "gateway")
FIRST_INSTANCE = "1"

#: Memory that is freed goes back: with an arena for each thread and Arrow's own pool a third of it would stay.
_LEAN = {"MALLOC_ARENA_MAX": "2", "ARROW_DEFAULT_MEMORY_POOL": "system"}
_LOOPBACK = '["127.0.0.0/8", "::1/128"]'  # local sources may be on this machine

_SERVE_THEIR_OWN_METRICS = ("ingest", "gateway")
_SEAL_OR_OPEN = ("ingest", "transformer", "gateway")


def warehouse(settings: StackSettings, credentials: Credentials) -> Component:
    """The warehouse server over the engine that lives in its process."""
    log = settings.logs / "warehouse.log"
    arguments = ("--path", str(settings.home / "warehouse"), "--port", str(settings.warehouse_port))
    return Component(
        name="warehouse",
        command=(sys.executable, "-m", "deploy.local.warehouse", *arguments),
        ports={"warehouse_port": settings.warehouse_port},
        ready=lambda: answers(f"{settings.warehouse_url}/ping"),
        log=log,
        console=log,
        environment={
            **_warehouse_access(settings, credentials),
            "HEADRACE_WAREHOUSE_MEMORY_MB": str(settings.warehouse_memory_mb),
        },
    )


def service(
    settings: StackSettings,
    credentials: Credentials,
    name: str,
    instance: str = FIRST_INSTANCE,
    port: int | None = None,
) -> Component:
    """One of the six services; a further instance has a port of its own."""
    label = name if instance == FIRST_INSTANCE else f"{name}-{instance}"
    serving = port or settings.port_of(name)
    log = settings.logs / f"{label}.log"
    health = "healthz" if name == "gateway" else "metrics"
    return Component(
        name=label,
        command=(sys.executable, "-m", f"services.{name}"),
        ports={f"{name}_port": serving},
        ready=lambda: answers(f"http://{HOST}:{serving}/{health}"),
        log=log,
        console=log,
        environment={
            **_warehouse_access(settings, credentials),
            **_LEAN,
            "HEADRACE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "HEADRACE_REGISTRY_URL": settings.registry_url,
            "HEADRACE_DATA_DIR": str(settings.home),
            "HEADRACE_INSTANCE": instance,
            "HEADRACE_LOG_LEVEL": settings.log_level,
            "HEADRACE_METRICS_HOST": HOST,
            "HEADRACE_METRICS_PORT": "0" if name in _SERVE_THEIR_OWN_METRICS else str(serving),
            "HEADRACE_GATEWAY_HOST": HOST,
            "HEADRACE_GATEWAY_PORT": str(serving if name == "gateway" else settings.gateway_port),
            "HEADRACE_GATEWAY_ADMIN_TOKEN": credentials.admin_token.get_secret_value(),
            "HEADRACE_TOKEN_KEY": credentials.token_key.get_secret_value(),
            "HEADRACE_SOURCE_DIR": str(settings.files),
            "HEADRACE_SOURCE_NETWORKS": _LOOPBACK,
            "HEADRACE_HTTP_HOST": HOST,
            "HEADRACE_HTTP_PORT": str(serving if name == "ingest" else settings.ingest_port),
            "HEADRACE_PUSH_TOKEN": credentials.push_token.get_secret_value(),
            **_master_keys(settings, name),
            "HEADRACE_CONNECT_URL": settings.connect_url,
            "HEADRACE_CONNECT_SECRETS": str(settings.connect_secrets),
            **settings.service_environment,
        },
    )


def _master_keys(settings: StackSettings, name: str) -> dict[str, str]:
    return {"HEADRACE_MASTER_KEY_FILE": str(master_keys(settings.home))} if name in _SEAL_OR_OPEN else {}


def _warehouse_access(settings: StackSettings, credentials: Credentials) -> dict[str, str]:
    return {
        "HEADRACE_WAREHOUSE_URL": settings.warehouse_url,
        "HEADRACE_WAREHOUSE_USER": WRITER,
        "HEADRACE_WAREHOUSE_PASSWORD": credentials.warehouse_password.get_secret_value(),
        "HEADRACE_WAREHOUSE_READER_USER": READER,
        "HEADRACE_WAREHOUSE_READER_PASSWORD": credentials.warehouse_reader_password.get_secret_value(),
    }
