"""The secrets that sources name: as they stand now, opened only when one is asked for, each opening on record."""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from pydantic import SecretStr

from headrace.errors import Fatal, Transient
from headrace.secrets.envelope import opened_text, seal
from headrace.secrets.keys import KeyWrapping
from headrace.secrets.reference import names_in
from headrace.secrets.settings import NO_KEY
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.notices import Notices
from headrace.stream.registry import Registry
from headrace.stream.secret_log import SecretChange, SecretLog, SecretRecord, Secrets, followed_secrets
from headrace.stream.service import LiveDataset

log = logging.getLogger(__name__)

_KEEP_S: Final = 60.0


class KnownSecrets:
    """Follows the topic of secrets. Safe to share between threads."""

    def __init__(self, connection: Connection, registry: Registry, keys: KeyWrapping | None, instance: str) -> None:
        controls = Controls(registry)
        self._followed = followed_secrets(connection, controls)
        self._reading = threading.Lock()
        self._given: Mapping[str, bytes] = {}
        self._opened: dict[str, tuple[bytes, SecretStr]] = {}
        self._keys = keys
        self.log = SecretLog(connection, controls, "ingest", instance)
        self.notices = Notices(connection, registry, "ingest", instance)

    @property
    def keys(self) -> KeyWrapping:
        """Whoever holds the master keys. Errors: Fatal when nobody does."""
        if self._keys is None:
            raise Fatal(NO_KEY)
        return self._keys

    def refresh(self) -> None:
        """Read on to the present end of the topic. Errors: Transient."""
        with self._reading:
            self._followed.refresh()
            self._given = {
                name: record.sealed.payload if record.kept_for is None else self._given.get(name, record.sealed.payload)
                for name, record in self._followed.state.items()
            }

    def standing(self, name: str) -> SecretStr:
        """A secret as it stood at the last `refresh`. Each value is opened once, which is put on record.

        Errors: LookupError when there is none; Fatal, also when there is no master key.
        """
        record = self._followed.state[name]
        payload, value = self._opened.get(name, (b"", None))
        if value is None or payload != record.sealed.payload:
            value = self.opened(record, name, None)
            self._opened[name] = record.sealed.payload, value
        return value

    def opened(self, record: SecretRecord, name: str, dataset: str | None) -> SecretStr:
        """The value of a record, whose opening is put on record. Errors: Fatal."""
        value = opened_text(self.keys, name, record.sealed)
        what = {"secret": name, "version": record.sealed.version}
        log.info("secret opened", extra={**what, "dataset": dataset})
        self.notices.event(
            "secret_opened", dataset, f"ingest opened the secret {name} for {dataset or 'HTTP push'}", what
        )
        return value

    def find(self, name: str) -> SecretRecord:
        """The record of a secret as it stands now. Errors: LookupError when there is none; Transient, Fatal."""
        self.refresh()
        with self._reading:
            if name in self._followed.unreadable:
                raise Fatal(
                    f"the record of the secret {name} cannot be read: `headrace secret rm {name}`, then set it anew"
                )
            return self._followed.state[name]

    def needs_of(self, dataset: LiveDataset) -> Sequence[tuple[str, bytes | None]]:
        """What tells the values that people gave to the secrets of a dataset's source from those they had before.

        It stays the same when the master key is rotated, or when the source itself replaces a value.
        """
        names = names_in(dataset.contract.source.model_dump(mode="json"))
        return [(name, self._given.get(name)) for name in sorted(names)]

    def of_source(self, dataset: str) -> "SourceSecrets":
        """The secrets as the source of one dataset gets them."""
        return SourceSecrets(self, dataset)

    def close(self) -> None:
        """Stop following."""
        with self._reading:
            self._followed.close()


class SourceSecrets:
    """What one opening of a source is given. What it may replace is the value it was given, and no later one."""

    def __init__(self, known: KnownSecrets, dataset: str) -> None:
        self._known = known
        self._dataset = dataset
        self._given: dict[str, bytes] = {}

    def secret(self, name: str) -> SecretStr:
        """See `Surroundings.secret`. Errors: LookupError; Transient; Fatal, also when there is no master key."""
        record = self._known.find(name)
        value = self._known.opened(record, name, self._dataset)
        self._given[name] = record.sealed.payload
        return value

    def keep(self, name: str, value: SecretStr) -> None:
        """See `Surroundings.keep_secret`. Tries for a minute: the value it replaces may be worthless by now.

        Errors: Transient when that is over, or the secret was set anew meanwhile; Fatal when it was not given or was removed.
        """
        written: set[bytes] = set()

        def decide(secrets: Secrets) -> Sequence[SecretChange]:
            standing = secrets.records.get(name)
            if standing is None or name not in self._given:
                raise Fatal(
                    f"{self._dataset} cannot replace the secret {name}: it was not given one, or it was removed"
                )
            if standing.sealed.payload in written:
                self._given[name] = standing.sealed.payload
                return []  # the attempt that seemed to fail did not
            if standing.sealed.payload != self._given[name]:
                raise SetAnew(
                    f"the secret {name} was set anew while {self._dataset} replaced it: its source starts again"
                )
            sealed = seal(self._known.keys, name, standing.sealed.version + 1, value.get_secret_value().encode())
            written.add(sealed.payload)
            record = SecretRecord(sealed, datetime.now(UTC), "ingest", self._dataset)
            data = {"version": sealed.version, "key_id": sealed.key_id, "dataset": self._dataset}
            return [SecretChange(name, record, "secret_set", f"the source of {self._dataset} replaced {name}", data)]

        for change in _persistently(lambda: self._known.log.change(decide)):
            if change.record is not None:
                self._given[name] = change.record.sealed.payload


class SetAnew(Transient):
    """A value was replaced by somebody else than who was given it: theirs counts."""


def _persistently(write: Callable[[], Sequence[SecretChange]]) -> Sequence[SecretChange]:
    """Try until it is written. Errors: SetAnew, Fatal at once; Transient when the time is up."""
    deadline = time.monotonic() + _KEEP_S
    while True:
        try:
            return write()
        except SetAnew:
            raise
        except Transient as error:
            if time.monotonic() > deadline:
                raise
            log.warning("a secret is yet to be kept: %s", error)
        time.sleep(random.uniform(0.05, 0.5))  # noqa: S311  # two that meet again and again would never end
