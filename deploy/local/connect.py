"""How the local Kafka Connect worker is set up: one node with Debezium, started only where a dataset captures changes."""

from pathlib import Path

from deploy.local import artifacts, log4j
from deploy.local.component import Component
from deploy.local.java import java, options, share_base_classes
from deploy.local.probe import answers
from deploy.local.settings import HOST, StackSettings

_PROPERTIES = """\
bootstrap.servers={bootstrap_servers}
group.id=_headrace.connect
config.storage.topic=_connect.configs
offset.storage.topic=_connect.offsets
status.storage.topic=_connect.status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.storage.partitions=1
status.storage.partitions=1
exactly.once.source.support=enabled
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
listeners=http://{host}:{port}
rest.advertised.host.name={host}
rest.advertised.port={port}
plugin.path={plugins}
plugin.discovery=service_load
# A connector's configuration names its password; the worker reads it from a folder that only it and ingest can read.
config.providers=directory
config.providers.directory.class=org.apache.kafka.common.config.provider.DirectoryConfigProvider
config.providers.directory.param.allowed.paths={secrets}
connector.client.config.override.policy=All
# There is no other worker to wait for: what a killed one left goes on as soon as it is missed.
scheduled.rebalance.max.delay.ms=0
session.timeout.ms=6000
heartbeat.interval.ms=2000
"""


def component(settings: StackSettings) -> Component:
    """The worker. It may be started before the broker is up: it waits for it."""
    home = settings.home / "connect"
    return Component(
        name="connect",
        command=_command(settings, home),
        ports={"connect_port": settings.connect_port},
        ready=lambda: answers(f"{settings.connect_url}/health"),
        log=settings.logs / "connect.log",
        console=settings.logs / "connect.console.log",
        prepare=lambda: _prepare(settings, home),
    )


def wanted(settings: StackSettings) -> bool:
    """Whether this stack has had a worker: then what its datasets capture needs it again."""
    return (settings.home / "connect" / "worker.properties").exists()


def _command(settings: StackSettings, home: Path) -> tuple[str, ...]:
    classes = options(settings.connect_heap_mb, settings.cache / "connect.jsa", home / "scratch")
    return (
        *(str(java()), *classes, "-XX:TieredStopAtLevel=1"),
        f"-Dlog4j2.configurationFile={home / 'log4j2.properties'}",
        *("-cp", f"{artifacts.KAFKA.folder(settings.cache)}/libs/*"),
        *("org.apache.kafka.connect.cli.ConnectDistributed", str(home / "worker.properties")),
    )


def _prepare(settings: StackSettings, home: Path) -> None:
    artifacts.ensure(artifacts.KAFKA, settings.cache)
    plugins = [artifacts.ensure(plugin, settings.cache) for plugin in artifacts.DEBEZIUM]
    share_base_classes()
    for folder in (home / "scratch", settings.logs):
        folder.mkdir(parents=True, exist_ok=True)
    settings.connect_secrets.mkdir(mode=0o700, exist_ok=True)
    (home / "worker.properties").write_text(
        _PROPERTIES.format(
            bootstrap_servers=settings.bootstrap_servers,
            host=HOST,
            port=settings.connect_port,
            plugins=",".join(map(str, plugins)),
            secrets=settings.connect_secrets,
        )
    )
    (home / "log4j2.properties").write_text(log4j.to_file("connect", settings))
