"""What the parts of a dataset's capture are called: all of it follows from the dataset's name and the snapshot's number."""

import re
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

_MOST: Final = 63  # characters of a name in PostgreSQL


@dataclass(frozen=True, slots=True)
class Names:
    """Each snapshot has a connector, a topic and a slot of its own, so that nothing of an older one can be taken for it."""

    dataset: str
    snapshot: int

    @classmethod
    def of(cls, connector: str) -> "Names":
        """The names that belong to a connector's."""
        dataset, _, snapshot = connector.rpartition(".cdc")
        return cls(dataset, int(snapshot))

    @property
    def connector(self) -> str:
        """The connector of Kafka Connect, and the prefix of its topics."""
        return f"{self.dataset}.cdc{self.snapshot}"

    @property
    def topic(self) -> str:
        """Where the table's rows and changes arrive: one partition, in the order of the database's log."""
        return f"{self.connector}.changes"

    @property
    def heartbeats(self) -> str:
        """Where Debezium says that it is alive."""
        return f"__debezium-heartbeat.{self.connector}"

    @property
    def history(self) -> str:
        """Where Debezium keeps the table definitions of MySQL."""
        return f"{self.connector}.history"

    @property
    def slot(self) -> str:
        """The replication slot, and the publication. A dataset has single underscores only, so no two meet in one name."""
        plain = f"headrace_{self.dataset.replace('.', '__')}_{self.snapshot}"
        if len(plain) <= _MOST:
            return plain
        digest = blake2b(plain.encode(), digest_size=8).hexdigest()
        return f"{plain[: _MOST - len(digest) - 1]}_{digest}"

    @property
    def secret(self) -> str:
        """The file with the password."""
        return self.connector

    @property
    def server_id(self) -> int:
        """A number for a replica of MySQL, far from those that people give."""
        return (1 << 31) + zlib.crc32(self.connector.encode()) % (1 << 31)


def pattern(*parts: str) -> str:
    """A dotted name as the regular expression that matches it and no other."""
    return r"\.".join(re.sub(r"([^A-Za-z0-9_])", r"\\\1", part) for part in parts)
