"""The secrets that dataset files name: as they stand now, opened only when one is asked for, each opening on record."""

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence

from pydantic import SecretStr

from headrace.errors import Fatal
from headrace.secrets.envelope import opened_text
from headrace.secrets.keys import KeyWrapping
from headrace.secrets.settings import NO_KEY
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.notices import Notices
from headrace.stream.registry import Registry
from headrace.stream.secret_log import SecretLog, SecretRecord, followed_secrets

log = logging.getLogger(__name__)


class KnownSecrets:
    """Follows the topic of secrets. Safe to share between threads."""

    def __init__(
        self, connection: Connection, registry: Registry, keys: KeyWrapping | None, service: str, instance: str
    ) -> None:
        """`service` and `instance` say who opens them."""
        controls = Controls(registry)
        self._followed = followed_secrets(connection, controls)
        self._reading = threading.Lock()
        self._given: Mapping[str, bytes] = {}
        self._opened: dict[str, tuple[bytes, SecretStr]] = {}
        self._keys = keys
        self._service = service
        self.log = SecretLog(connection, controls, service, instance)
        self.notices = Notices(connection, registry, service, instance)

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
        message = f"{self._service} opened the secret {name} for {dataset or 'HTTP push'}"
        self.notices.event("secret_opened", dataset, message, what)
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

    def given(self, names: Iterable[str]) -> Sequence[tuple[str, bytes | None]]:
        """What tells the values that people gave to these secrets from those they had before.

        It stays the same when the master key is rotated, or when a source itself replaces a value.
        """
        return [(name, self._given.get(name)) for name in sorted(names)]

    def close(self) -> None:
        """Stop following."""
        with self._reading:
            self._followed.close()
