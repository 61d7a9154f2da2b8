"""Seals, removes and rewraps secrets in their topic. It opens none: only ingest does."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import SecretStr

from headrace.errors import Fatal
from headrace.secrets.envelope import rewrap, seal
from headrace.secrets.keys import KeyWrapping
from headrace.stream.secret_log import SecretChange, SecretLog, SecretRecord, Secrets
from services.gateway.core.secrets import SecretEntry


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did: the secrets now under the current key, and why others are not."""

    key_id: str
    rotated: Sequence[str]
    unchanged: int
    failed: dict[str, str]


class SecretKeeper:
    """The topic of secrets, as the gateway writes it. Errors of each change: Transient, Fatal."""

    def __init__(self, log: SecretLog, keys: KeyWrapping) -> None:
        self._log = log
        self._keys = keys

    @property
    def current_key(self) -> str:
        """The id of the master key that seals from now on. Errors: Transient, Fatal."""
        return self._keys.current

    def set(self, name: str, value: SecretStr, at: datetime, by: str) -> SecretEntry:
        """Give a secret a value, its first or its next."""

        def decide(secrets: Secrets) -> Sequence[SecretChange]:
            if name in secrets.unreadable:
                raise Fatal(
                    f"the record of the secret {name} cannot be read: remove it with `headrace secret rm {name}` first"
                )
            standing = secrets.records.get(name)
            version = standing.sealed.version + 1 if standing else 1
            sealed = seal(self._keys, name, version, value.get_secret_value().encode())
            data = {"version": version, "key_id": sealed.key_id, "by": by}
            record = SecretRecord(sealed, at, by)
            return [SecretChange(name, record, "secret_set", f"{by} set the secret {name}", data)]

        (change,) = self._log.change(decide)
        assert change.record is not None
        return entry_of(change.record)

    def remove(self, name: str, by: str) -> bool:
        """Take a secret away. Returns whether there was one."""

        def decide(secrets: Secrets) -> Sequence[SecretChange]:
            if name not in secrets.records.keys() | secrets.unreadable:
                return []
            return [SecretChange(name, None, "secret_removed", f"{by} removed the secret {name}", {"by": by})]

        return bool(self._log.change(decide))

    def rotate(self, by: str) -> Rotation:
        """Put every secret under the current master key, all that can be in one transaction."""
        current, failed = self._keys.current, dict[str, str]()
        unchanged = 0

        def decide(secrets: Secrets) -> Sequence[SecretChange]:
            nonlocal unchanged
            changes = []
            failed.update(dict.fromkeys(secrets.unreadable, "its record in the topic cannot be read"))
            for name, record in secrets.records.items():
                if record.sealed.key_id == current:
                    unchanged += 1
                    continue
                try:
                    sealed = rewrap(self._keys, record.sealed)
                except Fatal as error:
                    failed[name] = str(error)
                    continue
                message = f"{by} put the secret {name} under the master key {sealed.key_id}"
                data = {"version": sealed.version, "key_id": sealed.key_id, "from": record.sealed.key_id, "by": by}
                changes.append(SecretChange(name, replace(record, sealed=sealed), "secret_rewrapped", message, data))
            return changes

        rotated = [change.name for change in self._log.change(decide)]
        return Rotation(current, rotated, unchanged, failed)


def entry_of(record: SecretRecord) -> SecretEntry:
    """What the gateway keeps and shows of a record."""
    sealed = record.sealed
    return SecretEntry(sealed.name, sealed.version, sealed.key_id, record.set_at, record.set_by, record.kept_for)
