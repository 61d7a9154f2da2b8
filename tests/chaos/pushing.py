"""Small datasets that rows are pushed to, and what of them is published."""

import uuid

import httpx

from headrace.client import ApiError
from tests.stack import Platform

GOOD_JSON = [b'{"id": %d, "x": 1.5, "note": "good"}' % number for number in (1, 10, 20)]


def name_of(kind: str) -> str:
    """A dataset of its own."""
    return f"bad.{kind}_{uuid.uuid4().hex[:8]}"


def apply(platform: Platform, dataset: str, source: str, more: str = "") -> None:
    """Make it live with this source, and `more` lines of its file."""
    platform.client.datasets.apply(
        dataset, f"dataset: {dataset}\ndescription: Bad input.\nowner: {{team: Tests}}\nsource: {source}\n{more}"
    )


def published(platform: Platform, dataset: str) -> list[int]:
    """The ids that the dataset's view shows."""
    try:
        rows = platform.client.query(f"SELECT id FROM {dataset} ORDER BY id").rows
    except ApiError:  # not there yet
        return []
    return [int(id) for (id,) in rows]


def pushed(
    platform: Platform, dataset: str, body: bytes, kind: str = "application/x-ndjson", key: str | None = None
) -> httpx.Response:
    """What ingest answers to a request with these rows."""
    headers = {"Content-Type": kind} | ({"Idempotency-Key": key} if key else {})
    with platform.pusher() as pusher:
        return pusher.post(f"/v1/datasets/{dataset}/rows", content=body, headers=headers)
