"""How the local broker is set up: one node, broker and controller in one process, durable enough for a `kill -9`."""

import shutil
import socket
import subprocess
import threading
import uuid
from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.local import artifacts, log4j
from deploy.local.component import Component
from deploy.local.errors import StackError
from deploy.local.java import java, options, share_base_classes
from deploy.local.settings import HOST, StackSettings

_PROPERTIES = """\
process.roles={roles}
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners={listeners}
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
broker.session.timeout.ms={session_ms}
broker.heartbeat.interval.ms=200
"""

#: How soon the controller gives the broker up. They are one process: it serves nobody to do so while both live, and a machine
#: that is busy for a moment would move every coordinator. A controller alone, after a kill, is to do it at once.
_SESSION_MS, _SESSION_OF_THE_DEAD_MS = 60_000, 1_000

_ACTIVE, _FENCED = "Becoming the active controller", "Fencing broker"  # what the controller's log says
_GIVEN_UP_S = 5.0  # from the one to the other: a session and some
_WRITTEN_S = 1.0  # from the other to its records being on disk: a few hundredths


def component(settings: StackSettings) -> Component:
    """The broker."""
    home = settings.home / "kafka"
    return Component(
        name="kafka",
        command=_command(settings, home, "server.properties", "log4j2.properties"),
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


def _command(settings: StackSettings, home: Path, properties: str, logging: str) -> tuple[str, ...]:
    classes = options(settings.kafka_heap_mb, settings.cache / "kafka.jsa", home / "scratch")
    return (
        *(str(java()), *classes, "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={home / logging}"),
        *("-cp", f"{artifacts.KAFKA.folder(settings.cache)}/libs/*", "kafka.Kafka", str(home / properties)),
    )


def _prepare(settings: StackSettings, home: Path) -> None:
    program = artifacts.ensure(artifacts.KAFKA, settings.cache)
    share_base_classes()
    for folder in (home / "scratch", settings.logs):
        folder.mkdir(parents=True, exist_ok=True)
    _configure(settings, home)
    data = home / "data"
    if not (data / "meta.properties").exists():
        _format(program, home / "server.properties", data)
    elif not (data / ".kafka_cleanshutdown").exists():
        _give_up_former_self(settings, home)


def _configure(settings: StackSettings, home: Path) -> None:
    """The node as broker and controller, and as a controller alone that logs to its console."""
    client, controller = (
        f"PLAINTEXT://{HOST}:{settings.kafka_port}",
        f"CONTROLLER://{HOST}:{settings.kafka_controller_port}",
    )
    common = {"host": HOST, "controller_port": settings.kafka_controller_port, "data": home / "data"}
    listeners = f"{client},{controller}"
    both = _PROPERTIES.format(roles="broker,controller", listeners=listeners, session_ms=_SESSION_MS, **common)
    (home / "server.properties").write_text(f"{both}advertised.listeners={client}\n")
    alone = _PROPERTIES.format(roles="controller", listeners=controller, session_ms=_SESSION_OF_THE_DEAD_MS, **common)
    (home / "controller.properties").write_text(alone)
    (home / "log4j2.properties").write_text(log4j.to_file("kafka", settings))
    (home / "log4j2-console.properties").write_text(log4j.to_console("kafka"))


def _give_up_former_self(settings: StackSettings, home: Path) -> None:
    """Lets the controller learn, alone, that the broker has died, before the broker starts again.

    Controller and broker are one process here: neither saw the other die. A broker that starts while it still stands in
    the cluster's records as alive leads its partitions as its former self until it is given up, and drops the commit
    markers that it owes then; whoever reads committed records waits for those for ever.
    """
    # One that died before it was alive is not given up again: hence a time limit behind each step.
    left_s = {_ACTIVE: _GIVEN_UP_S, _FENCED: _WRITTEN_S}
    seen, last = set[str](), deque[str](maxlen=5)
    with _running(_command(settings, home, "controller.properties", "log4j2-console.properties")) as controller:
        end = _soon(settings.start_timeout_s, controller.kill)
        for line in cast(IO[str], controller.stdout):  # to its end: a child that nobody reads stands still
            last.append(line)
            for step in [step for step in left_s if step in line]:
                seen.add(step)
                end.cancel()
                end = _soon(left_s[step], controller.kill)
        end.cancel()
    if not seen:
        raise StackError(f"Kafka's controller did not start after the broker had died. It said:\n{''.join(last)}")


def _soon(seconds: float, act: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


@contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A child whose output is read, and that does not outlive this."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        try:
            yield child
        finally:
            child.kill()
            child.communicate()


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
