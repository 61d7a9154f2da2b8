"""Credentials of sources."""

from datetime import datetime

from headrace.client.results.base import Result


class Secret(Result):
    """A secret, without its value. `kept_for` is the dataset whose source replaced the value itself."""

    name: str
    version: int
    key_id: str
    set_at: datetime
    set_by: str
    kept_for: str | None = None
    datasets: tuple[str, ...] = ()


class Secrets(Result):
    """Every secret, by name, and the master key that seals from now on."""

    current_key_id: str
    items: tuple[Secret, ...]


class FailedRotation(Result):
    """A secret that is still under another master key."""

    name: str
    detail: str


class RotatedSecrets(Result):
    """What a rotation of the master key did."""

    current_key_id: str
    rotated: int
    unchanged: int
    failed: tuple[FailedRotation, ...] = ()
