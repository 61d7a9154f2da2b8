"""How the local broker is set up: one node, broker and controller in one process, durable enough for a `kill -9`."""

import shutil
import socket
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.local import artifacts
from deploy.local.component import Component
from deploy.local.errors import StackError
from deploy.local.java import java, options, share_base_classes
from deploy.local.settings import HOST, StackSettings

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
num.partitions=2
offsets.topic.num.partitions=8
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
# A group's offsets are its place in the stream: they must outlive any pause.
offsets.retention.minutes=2147483647
# How soon the open transaction of a killed producer is noticed to be overdue; 10 s is for brokers with thousands.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
# A broker that was killed must wait for its former self to be given up. Meanwhile it leads partitions that nobody can be
# told of, and drops the commit markers it still owes: readers would then wait for ever. So the wait is kept short.
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
"""

_LOGGING = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {log}
appender.file.filePattern = {log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.alwaysWriteExceptions = false
appender.file.layout.pattern = {pattern}
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = {size_mb}MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 1
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""
_JSON_LINE = (
    '{"at":"%d{yyyy-MM-dd\'T\'HH:mm:ss.SSSXXX}{UTC}","level":"%level{lowerCase=true}","service":"kafka",'
    '"logger":"%enc{%c}{JSON}","message":"%enc{%m}{JSON}","traceback":"%enc{%xEx{20}}{JSON}"}%n'
)


def component(settings: StackSettings) -> Component:
    """The broker."""
    home = settings.home / "kafka"
    program = artifacts.KAFKA.folder(settings.cache)
    classes = options(settings.kafka_heap_mb, settings.cache / "kafka.jsa", home / "scratch")
    logging_options = [f"-Dlog4j2.configurationFile={home / 'log4j2.properties'}"]
    return Component(
        name="kafka",
        command=(
            *(str(java()), *classes, "-XX:TieredStopAtLevel=1", *logging_options),
            *("-cp", f"{program}/libs/*", "kafka.Kafka", str(home / "server.properties")),
        ),
        ports={"kafka_port": settings.kafka_port, "kafka_controller_port": settings.kafka_controller_port},
        ready=lambda: topics(settings.bootstrap_servers) is not None,
        log=settings.logs / "kafka.log",
        console=settings.logs / "kafka.console.log",
        prepare=lambda: _prepare(settings, home),
    )


def topics(bootstrap_servers: str) -> list[str] | None:
    """The names of the topics, or None if the broker does not answer a client."""
    host, _, port = bootstrap_servers.partition(":")
    try:
        # A client that cannot connect fills the terminal with complaints: it is made only once somebody listens.
        socket.create_connection((host, int(port)), timeout=1).close()
        metadata = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0}).list_topics(timeout=2)
    except (OSError, KafkaException):
        return None
    return list(metadata.topics) if metadata.brokers else None


def _prepare(settings: StackSettings, home: Path) -> None:
    program = artifacts.ensure(artifacts.KAFKA, settings.cache)
    share_base_classes()
    for folder in (home / "scratch", settings.logs):
        folder.mkdir(parents=True, exist_ok=True)
    properties = home / "server.properties"
    properties.write_text(
        _PROPERTIES.format(
            host=HOST, port=settings.kafka_port, controller_port=settings.kafka_controller_port, data=home / "data"
        )
    )
    (home / "log4j2.properties").write_text(
        _LOGGING.format(log=settings.logs / "kafka.log", pattern=_JSON_LINE, size_mb=settings.log_size_mb)
    )
    if not (home / "data" / "meta.properties").exists():
        _format(program, properties, home / "data")


def _format(program: Path, properties: Path, data: Path) -> None:
    """Gives the storage its identity. A folder left by a formatting that was cut short is begun anew."""
    shutil.rmtree(data, ignore_errors=True)
    identity = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "a")
    tool = [str(java()), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", f"{program}/libs/*", "kafka.tools.StorageTool"]
    command = [*tool, "format", "-t", identity, "-c", str(properties)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise StackError(
            f"Kafka's storage in {data} cannot be set up: {result.stderr.strip() or result.stdout.strip()}"
        )
