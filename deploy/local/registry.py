"""How the local schema registry is set up: Apicurio, with its schemas in topics of the local broker."""

from pathlib import Path

import httpx

from deploy.local import artifacts
from deploy.local.component import Component
from deploy.local.java import java, options, share_base_classes
from deploy.local.probe import PLAIN
from deploy.local.settings import HOST, StackSettings
from headrace.stream.registry import BARRIER


def component(settings: StackSettings) -> Component:
    """The registry. It may be started before the broker is up: it waits for it."""
    scratch = settings.home / "registry"
    classes = options(settings.registry_heap_mb, settings.cache / "registry.jsa", scratch)
    return Component(
        name="registry",
        command=(str(java()), *classes, "-XX:TieredStopAtLevel=1", "-jar", "quarkus-run.jar"),
        ports={
            "registry_port": settings.registry_port,
            "registry_management_port": settings.registry_management_port,
        },
        ready=lambda: is_ready(settings.registry_url),
        log=settings.logs / "registry.log",
        console=settings.logs / "registry.console.log",
        environment=_environment(settings, scratch),
        folder=artifacts.REGISTRY.folder(settings.cache),
        prepare=lambda: _prepare(settings, scratch),
    )


def is_ready(url: str) -> bool:
    """Whether the registry has read all its schemas: it answers a write only then (`headrace.stream.registry`)."""
    try:
        return httpx.put(
            f"{url}/config/{BARRIER}", json={"compatibility": "BACKWARD"}, timeout=2, verify=PLAIN
        ).is_success
    except httpx.HTTPError:
        return False


def _prepare(settings: StackSettings, scratch: Path) -> None:
    artifacts.ensure(artifacts.REGISTRY, settings.cache)
    share_base_classes()
    for folder in (scratch, settings.logs):
        folder.mkdir(parents=True, exist_ok=True)


def _environment(settings: StackSettings, scratch: Path) -> dict[str, str]:
    """Apicurio's settings. Its management port would listen on every interface if it were not told otherwise."""
    return {
        "APICURIO_STORAGE_KIND": "kafkasql",
        "APICURIO_KAFKASQL_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "APICURIO_KAFKASQL_TOPIC": "_registry.journal",
        "APICURIO_KAFKASQL_SNAPSHOTS_TOPIC": "_registry.snapshots",
        "APICURIO_EVENTS_KAFKA_TOPIC": "_registry.events",
        "APICURIO_KAFKASQL_TOPIC_PARTITIONS": "1",
        "APICURIO_KAFKASQL_CONSUMER_POLL_TIMEOUT": "500",
        "APICURIO_STORAGE_SNAPSHOT_LOCATION": str(scratch),
        "APICURIO_IMPORT_WORK_DIR": str(scratch),
        "APICURIO_RULES_GLOBAL_COMPATIBILITY": "BACKWARD",
        "QUARKUS_HTTP_HOST": HOST,
        "QUARKUS_HTTP_PORT": str(settings.registry_port),
        "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
        "QUARKUS_MANAGEMENT_HOST": HOST,
        "QUARKUS_MANAGEMENT_PORT": str(settings.registry_management_port),
        "QUARKUS_LOG_CONSOLE_ENABLE": "false",
        "QUARKUS_LOG_FILE_ENABLE": "true",
        "QUARKUS_LOG_FILE_PATH": str(settings.logs / "registry.log"),
        "QUARKUS_LOG_FILE_ROTATION_MAX_FILE_SIZE": f"{settings.log_size_mb}M",
        "QUARKUS_LOG_FILE_ROTATION_MAX_BACKUP_INDEX": "1",
    }
