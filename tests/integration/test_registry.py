"""The registry client against the real registry, and against peers that fail."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pyarrow as pa
import pytest

from deploy.local import stack as local
from headrace.errors import Fatal, Transient
from headrace.stream.codec import avro_schema
from headrace.stream.registry import Registry
from tests.stack import Stack


@pytest.fixture
def url(stack: Stack) -> str:
    return stack.registry_url


@pytest.fixture
def registry(url: str) -> Registry:
    return Registry(url)


@pytest.fixture
def subject() -> str:
    return f"registry-test.{uuid.uuid4().hex}-value"


def a_schema(*extra: pa.Field) -> str:
    return avro_schema(pa.schema([pa.field("carrier", pa.string(), nullable=False), *extra]), "registry_test.row")


def test_what_was_registered_is_found_by_id_and_as_the_latest(url: str, registry: Registry, subject: str) -> None:
    assert registry.latest(subject) is None
    schema_id = registry.register(subject, a_schema())

    assert Registry(url).schema(schema_id) == a_schema()
    assert registry.latest(subject) == (schema_id, a_schema())
    assert registry.register(subject, a_schema()) == Registry(url).register(subject, a_schema()) == schema_id


def test_first_registration_sets_the_subject_to_backward(url: str, registry: Registry, subject: str) -> None:
    assert httpx.get(f"{url}/config/{subject}").status_code == 404
    registry.register(subject, a_schema())
    assert httpx.get(f"{url}/config/{subject}").json() == {"compatibilityLevel": "BACKWARD"}


def test_a_subject_that_is_given_up_is_gone_and_what_others_share_with_it_stays(
    url: str, registry: Registry, subject: str
) -> None:
    other = subject.replace("-value", ".other-value")
    shared = registry.register(subject, a_schema())
    assert registry.register(other, a_schema()) == shared
    registry.register(subject, a_schema(pa.field("tail", pa.string())))
    for _ in range(2):  # again, as after a crash
        assert registry.forget(subject)
        assert Registry(url).latest(subject) is None
    subjects = httpx.get(f"{url}/subjects", params={"deleted": "true"}).json()
    assert other in subjects
    assert subject not in subjects
    assert Registry(url).schema(shared) == a_schema()
    assert Registry(url).latest(other) == (shared, a_schema())


def test_a_level_somebody_chose_later_is_left_alone(url: str, registry: Registry, subject: str) -> None:
    registry.register(subject, a_schema())
    httpx.put(f"{url}/config/{subject}", json={"compatibility": "FULL"}).raise_for_status()
    registry.register(subject, a_schema(pa.field("tail", pa.string())))
    assert httpx.get(f"{url}/config/{subject}").json() == {"compatibilityLevel": "FULL"}


def test_a_nullable_column_may_be_added(registry: Registry, subject: str) -> None:
    first = registry.register(subject, a_schema())
    wider = a_schema(pa.field("tail", pa.string()))
    second = registry.register(subject, wider)

    assert second != first
    assert registry.latest(subject) == (second, wider)  # not a stale answer from before


def test_an_incompatible_schema_is_refused_with_what_differs_and_what_to_do(registry: Registry, subject: str) -> None:
    registry.register(subject, a_schema())
    with pytest.raises(Fatal) as refusal:
        registry.register(subject, a_schema(pa.field("tail", pa.string(), nullable=False)))

    text = str(refusal.value)
    assert subject in text
    assert "tail" in text
    assert "nullable" in text
    assert registry.latest(subject) is not None  # the registry is fine: the schema is at fault


def test_text_that_is_no_schema_is_refused(registry: Registry, subject: str) -> None:
    with pytest.raises(Fatal, match=subject):
        registry.register(subject, '{"type": "rec')


def test_an_id_nobody_registered_is_unknown_not_an_error(registry: Registry) -> None:
    assert registry.schema(2_000_000_000) is None


def test_a_registry_that_refuses_connections_is_transient() -> None:
    with pytest.raises(Transient, match="does not answer"):
        Registry("http://127.0.0.1:9").schema(1)


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_a_peer_that_fails_is_transient_and_never_an_unknown_schema(status: int) -> None:
    with answering(status) as address, pytest.raises(Transient, match=str(status)):
        Registry(address).schema(1)


def test_a_peer_that_hangs_is_transient() -> None:
    with answering(None) as address, pytest.raises(Transient, match="does not answer"):
        Registry(address, timeout_s=0.2).schema(1)


@contextmanager
def answering(status: int | None) -> Iterator[str]:
    """The address of a peer that answers every request with `status`, or with nothing until the test is over."""
    over = threading.Event()

    class Peer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if status is None:
                over.wait(30)
                return
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>not a registry</html>")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Peer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            over.set()
            server.shutdown()
            thread.join()


def test_writers_of_a_new_subject_do_not_get_in_each_others_way(url: str) -> None:
    """Many stages meet a new subject at the same moment: all of them get the one id."""
    subject = f"race-{uuid.uuid4().hex}-value"
    avro = avro_schema(pa.schema([pa.field("n", pa.int64())]), f"race.r_{uuid.uuid4().hex}")
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: Registry(url).register(subject, avro), range(16)))
    assert len(set(ids)) == 1


def asked_as_it_starts(stack: Stack, registry: Registry, schema_id: int) -> list[str | None]:
    """Every answer about a schema that a registry gives which was killed and starts again."""
    local.kill(stack.settings, "registry")
    starting = threading.Thread(target=lambda: local.up(stack.settings, only=["registry"]))
    starting.start()
    answers: list[str | None] = []
    try:
        while starting.is_alive() or not answers or answers[-1] is None:
            with suppress(Transient):
                answers.append(registry.schema(schema_id))
    finally:
        starting.join()
    return answers


@pytest.fixture(scope="module")
def many(stack: Stack) -> int:
    """The id of a schema that was registered after many others: a registry that starts reads them all before it."""
    registry = Registry(stack.registry_url)
    name = uuid.uuid4().hex
    return [
        registry.register(f"{name}-{n}-value", a_schema(pa.field(f"c{n}_{name}", pa.string()))) for n in range(150)
    ][-1]


def test_a_registry_that_still_reads_its_journal_is_not_believed(stack: Stack, many: int) -> None:
    assert None not in asked_as_it_starts(stack, Registry(stack.registry_url), many)


def test_the_control_who_believes_it_takes_a_schema_for_unknown(
    stack: Stack, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "_found", lambda _, ask: Registry._or_none(ask))
    assert None in asked_as_it_starts(stack, Registry(stack.registry_url), many)
