"""The keys that datasets hash personal data with: secrets, opened when a dataset's work begins, each opening on record."""

import threading
from collections.abc import Mapping

from pydantic import SecretStr

from headrace.secrets.keys import KeyWrapping
from headrace.secrets.reference import resolved
from headrace.stream.kafka import Connection
from headrace.stream.known_secrets import KnownSecrets
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset, every_generation


class HashKeys:
    """Follows the topic of secrets from when a dataset first names a key. Safe to share between threads."""

    def __init__(self, connection: Connection, registry: Registry, keys: KeyWrapping | None, instance: str) -> None:
        self._connection = connection
        self._registry = registry
        self._keys = keys
        self._instance = instance
        self._opening = threading.Lock()
        self._known: KnownSecrets | None = None

    def learn(self, datasets: Mapping[str, LiveDataset]) -> None:
        """Note what the secrets are now, if a dataset names one. Errors: Transient."""
        every = (each for dataset in datasets.values() for each in every_generation(dataset))
        if any(each.contract.transform_secrets for each in every):
            self._followed().refresh()

    def needs_of(self, dataset: LiveDataset) -> object:
        """What changes when a person gives the key of a dataset another value: its work then begins anew."""
        names = dataset.contract.transform_secrets
        return self._followed().given(names) if names else None

    def of(self, dataset: LiveDataset) -> SecretStr | None:
        """The key of a dataset; None when it names none.

        Errors: Transient; Fatal when there is no such secret, or no master key.
        """
        reference = dataset.contract.transform.hash_key
        if reference is None:
            return None
        known = self._followed()
        return resolved(reference, lambda name: known.opened(known.find(name), name, dataset.name))

    def close(self) -> None:
        """Stop following."""
        if self._known is not None:
            self._known.close()

    def _followed(self) -> KnownSecrets:
        with self._opening:
            if self._known is None:
                self._known = KnownSecrets(self._connection, self._registry, self._keys, "transformer", self._instance)
            return self._known
