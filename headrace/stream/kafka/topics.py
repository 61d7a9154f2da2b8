"""Creates topics, notices one that exists in another shape, and deletes what is given up."""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from headrace.errors import Fatal, Transient
from headrace.stream import topics
from headrace.stream.kafka.connection import Connection, mapped

log = logging.getLogger(__name__)

_REPLY_S = 30.0
_ANSWER_S = 5.0
#: A record of the most bytes ingest accepts, as base64 in quarantine beside its decoded fields, still fits.
MOST_MESSAGE_BYTES = 16 << 20

#: How long an idempotency key of HTTP push is remembered.
PUSH_KEYS_KEPT = timedelta(days=7)

_OFFSETS_KEPT = "offsets.retention.minutes"
_LONG = timedelta(days=3650)

_POSITION_PARTITIONS = 16  # how many instances can share the source tasks

_COMPACTED = {"cleanup.policy": "compact"}
_EXPIRING = {
    "cleanup.policy": "compact,delete",
    "retention.ms": str(PUSH_KEYS_KEPT // timedelta(milliseconds=1)),
    "segment.ms": str(timedelta(days=1) // timedelta(milliseconds=1)),  # only whole segments are deleted
}

#: How long something may wait that is asked of quarantined rows.
_WAITING = {"retention.ms": str(timedelta(days=7) // timedelta(milliseconds=1))}

#: How long it can be told of a row that it had waited.
PARKED_TOLD = timedelta(days=7)

#: Whoever takes a partition over reads what is parked in it: small segments, which are compacted soon, keep that short.
_PARKED = {
    **_COMPACTED,
    "segment.bytes": str(64 << 20),
    "segment.ms": str(timedelta(hours=1) // timedelta(milliseconds=1)),
    "min.cleanable.dirty.ratio": "0.2",
    "delete.retention.ms": str(PARKED_TOLD // timedelta(milliseconds=1)),
}

_PASSING = {"retention.ms": str(timedelta(hours=1) // timedelta(milliseconds=1))}


def answering(connection: Connection) -> None:
    """See whether the brokers are there. Errors: Transient, at once, where a transaction would wait for long."""
    try:
        AdminClient(connection.client()).list_topics(timeout=_ANSWER_S)
    except KafkaException as error:
        raise mapped(error, "asking Kafka for its topics") from error


def exists(connection: Connection, topic: str) -> bool:
    """Whether there is such a topic. Errors: Transient."""
    try:
        return topic in AdminClient(connection.client()).list_topics(timeout=_ANSWER_S).topics
    except KafkaException as error:
        raise mapped(error, "asking Kafka for its topics") from error


def ensure(
    connection: Connection,
    partitions: Mapping[str, int],
    config: Mapping[str, str] | None = None,
    replication: int = -1,
) -> None:
    """Create the topics that are missing. Errors: Fatal when one exists with another partition count; Transient."""
    admin = AdminClient(connection.client())
    try:
        existing = admin.list_topics(timeout=_REPLY_S).topics
    except KafkaException as error:
        raise mapped(error, "listing topics") from error
    for name, count in partitions.items():
        if name in existing and existing[name].partitions and len(existing[name].partitions) != count:
            raise Fatal(
                f"topic {name} has {len(existing[name].partitions)} partitions, not {count}: "
                "all topics of a dataset must agree; set `partitions` to what it has, or name the dataset anew"
            )
    missing = [
        NewTopic(name, count, replication, config=dict(config or {}))
        for name, count in partitions.items()
        if name not in existing
    ]
    if not missing:
        return
    for name, future in admin.create_topics(missing, operation_timeout=_REPLY_S).items():
        try:
            future.result(_REPLY_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise mapped(error, f"creating topic {name}") from error
        except TimeoutError as error:
            raise Transient(f"creating topic {name}: no answer in {_REPLY_S:g} s") from error


def ensure_control(connection: Connection, replication: int = -1) -> None:
    """Create the control topics that are missing."""
    requests = topics.QUARANTINE_REQUESTS
    logs = {name: 1 for name in topics.CONTROL if name not in topics.COMPACTED | topics.PASSING | {requests}}
    ensure(connection, logs, {"retention.ms": "-1"}, replication)
    ensure(connection, {requests: 1}, {**_WAITING, "max.message.bytes": str(MOST_MESSAGE_BYTES)}, replication)
    kept = topics.COMPACTED - {topics.PUSH_KEYS, topics.SOURCE_POSITIONS, topics.DATASETS}
    ensure(connection, dict.fromkeys(kept, 1), _COMPACTED, replication)
    # The position of a source names every file it has; a dataset has the files of its generations.
    large = {**_COMPACTED, "max.message.bytes": str(MOST_MESSAGE_BYTES)}
    ensure(connection, {topics.SOURCE_POSITIONS: _POSITION_PARTITIONS, topics.DATASETS: 1}, large, replication)
    ensure(connection, {topics.PUSH_KEYS: 1}, _EXPIRING, replication)
    passing = {**_PASSING, "max.message.bytes": str(MOST_MESSAGE_BYTES)}
    ensure(connection, dict.fromkeys(topics.PASSING, 1), passing, replication)


def warn_of_lost_positions(connection: Connection) -> None:
    """Say so when the brokers forget where a group at rest stands: a dataset paused for longer would be read again."""
    admin = AdminClient(connection.client())
    try:
        broker = ConfigResource(ConfigResource.Type.BROKER, str(admin.list_topics(timeout=_REPLY_S).controller_id))
        kept = int(admin.describe_configs([broker])[broker].result(_REPLY_S)[_OFFSETS_KEPT].value)
    except (KafkaException, TimeoutError, KeyError, ValueError) as error:
        log.info("how long the brokers keep positions is not known: %s", error)
        return
    if timedelta(minutes=kept) < _LONG:
        log.warning(
            "the brokers forget where a group stands after %s without members (%s): a dataset that is paused for longer is "
            "read again from the beginning of its topics; set it to 2147483647",
            timedelta(minutes=kept),
            _OFFSETS_KEPT,
        )


def ensure_dataset(
    connection: Connection,
    dataset: str,
    generation: int,
    partitions: int,
    replication: int = -1,
    *,
    waits: bool = False,
) -> None:
    """Create the topics of a dataset that are missing. `waits`: rows of it wait for parents.

    Validated records are kept for ever: the reference tables of other datasets are rebuilt from them.
    """
    config = {"max.message.bytes": str(MOST_MESSAGE_BYTES)}
    reference = topics.validated(dataset, generation)
    passing = (name for name in topics.of_dataset(dataset, generation) if name != reference)
    ensure(connection, dict.fromkeys(passing, partitions), config, replication)
    ensure(connection, {reference: partitions}, config | {"retention.ms": "-1"}, replication)
    if waits:
        ensure(connection, {topics.parked(dataset, generation): partitions}, config | _PARKED, replication)


def forget_group(connection: Connection, group: str) -> bool:
    """Delete a consumer group with its offsets, if nobody is in it. Returns whether it is gone. Errors: Transient, Fatal."""
    admin = AdminClient(connection.client())  # who lets it go gets no answer
    [asked] = admin.delete_consumer_groups([group], request_timeout=_REPLY_S).values()
    return _gone(asked, KafkaError.GROUP_ID_NOT_FOUND, f"deleting group {group}", KafkaError.NON_EMPTY_GROUP)


def topic_id(connection: Connection, topic: str) -> str:
    """What tells a topic from one of its name before it. Errors: Transient, also when it is not there; Fatal."""
    admin = AdminClient(connection.client())  # who lets it go gets no answer
    doing = f"asking for {topic}"
    try:
        [asked] = admin.describe_topics(TopicCollection([topic]), request_timeout=_ANSWER_S).values()
        return str(asked.result(_REPLY_S).topic_id)
    except KafkaException as error:
        raise mapped(error, doing) from error
    except TimeoutError as error:
        raise Transient(f"{doing}: no answer in {_REPLY_S:g} s") from error


def forget_topic(connection: Connection, topic: str) -> None:
    """Delete a topic, if it is there. Errors: Transient, Fatal."""
    admin = AdminClient(connection.client())
    [asked] = admin.delete_topics([topic], request_timeout=_REPLY_S).values()
    _gone(asked, KafkaError.UNKNOWN_TOPIC_OR_PART, f"deleting topic {topic}")


def _gone(asked: Any, missing: int, doing: str, in_use: int | None = None) -> bool:
    try:
        asked.result(_REPLY_S)
    except KafkaException as error:
        code = error.args[0].code()
        if code == in_use:
            return False
        if code != missing:
            raise mapped(error, doing) from error
    except TimeoutError as error:
        raise Transient(f"{doing}: no answer in {_REPLY_S:g} s") from error
    return True
