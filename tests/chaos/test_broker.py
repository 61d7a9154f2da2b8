"""A broker that is killed amid transactions leaves none open for ever: what was decided is told to every partition."""

import json
import subprocess
import sys
import uuid
from datetime import UTC, datetime

from confluent_kafka import IsolationLevel, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from deploy.local import stack as local
from headrace.stream.kafka import Connection
from tests.chaos.busy_writers import PARTITIONS
from tests.stack import Platform, ends, eventually

MANY = 20_000


def ends_now(platform: Platform, topic: str, isolation: IsolationLevel) -> list[int]:
    """The end of each partition; nothing while the broker does not say."""
    try:
        return ends(Connection(platform.stack.bootstrap_servers), topic, isolation)
    except (KafkaException, KeyError, TimeoutError):
        return []


def elections(platform: Platform, since: datetime) -> list[str]:
    """What the broker's log says of its taking over the first of the partitions that keep the transactions."""
    log = platform.stack.settings.logs / "kafka.log"
    lines = (json.loads(line) for file in (log.with_suffix(".log.1"), log) if file.exists() for line in file.open())
    elected = (line for line in lines if "Elected as the txn coordinator for partition 0" in line["message"])
    return [line["message"] for line in elected if datetime.fromisoformat(line["at"]) > since]


def test_no_transaction_stays_open(platform: Platform) -> None:
    topic = f"chaos.open_{uuid.uuid4().hex[:8]}"
    admin = AdminClient(Connection(platform.stack.bootstrap_servers).client())
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(10)
    command = [sys.executable, "-m", "tests.chaos.busy_writers", platform.stack.bootstrap_servers, topic]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as writers:
        try:
            eventually(
                lambda: sum(ends_now(platform, topic, IsolationLevel.READ_UNCOMMITTED)) > MANY, 120, "writers work"
            )
            killed_at = datetime.now(UTC)
            local.kill(platform.stack.settings, "kafka")
        finally:
            writers.kill()
    local.up(platform.stack.settings, only=["kafka"])

    def closed() -> bool:
        committed = ends_now(platform, topic, IsolationLevel.READ_COMMITTED)
        return bool(committed) and committed == ends_now(platform, topic, IsolationLevel.READ_UNCOMMITTED)

    eventually(closed, 60, "every transaction has ended")
    assert len(elections(platform, killed_at)) == 1, "it took over as its former self, and then again"
