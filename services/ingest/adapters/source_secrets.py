"""The secrets as the source of one dataset gets them, which may replace the value of one that it was given."""

import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from pydantic import SecretStr

from headrace.errors import Fatal, Transient
from headrace.secrets.envelope import seal
from headrace.stream.known_secrets import KnownSecrets
from headrace.stream.secret_log import SecretChange, SecretRecord, Secrets

log = logging.getLogger(__name__)

_KEEP_S: Final = 60.0


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
