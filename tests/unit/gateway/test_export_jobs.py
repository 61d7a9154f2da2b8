"""Exports in the background: one replica works at each, whatever happens to it; what one may export is asked again."""

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from headrace.access.policy import Action, Scope, Sight
from headrace.errors import Transient
from services.gateway.adapters.dataset_store import DatasetStore, fold_datasets
from services.gateway.adapters.export_owners import ExportOwners
from services.gateway.adapters.export_schedules import ExportSchedule, ExportSchedules, new_id
from services.gateway.adapters.export_source import ExportSource, Opened
from services.gateway.adapters.export_storage import ExportStorage, local
from services.gateway.adapters.export_store import ExportStore
from services.gateway.adapters.export_tables import EXPORTS
from services.gateway.adapters.usage_store import Usage
from services.gateway.bootstrap import serve
from services.gateway.core.completeness import Completeness
from services.gateway.core.export_jobs import LEASE, MOST_ATTEMPTS, Job, fetch_refusal, seen_as
from services.gateway.core.exports import Plan, Wanted
from services.gateway.export_worker import ExportParts, ExportWorker, Limits, place
from services.gateway.gateway import Gateway
from tests.unit.gateway.accesses import bearer, headers
from tests.unit.gateway.test_datasets import AIRPORTS, live

AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
PIECES = (b'"faa"\n"JFK"\n', b'"EWR"\n')
CONTENT = b"".join(PIECES)


def job(**fields: Any) -> Job:
    return replace(Job(new_id(), "u-ann", "ann", None, "nyc.airports", "csv", (), "", "download", AT), **fields)


@dataclass
class Source:
    """Gives the same pieces each time; `before` runs ahead of the last."""

    before: Callable[[], None] = lambda: None
    closed: int = 0

    def open(self, dataset: Any, wanted: Wanted, sight: Sight, counted: Callable[[int], None]) -> Opened:
        def pieces() -> Generator[bytes]:
            try:
                counted(1)
                yield PIECES[0]
                self.before()
                counted(1)
                yield PIECES[1]
            finally:
                self.closed += 1

        state = Completeness(AT, AT, 0, ())
        return Opened(self.plan(dataset, wanted, sight), state, pieces())

    def plan(self, dataset: Any, wanted: Wanted, sight: Sight) -> Plan:
        assert dataset.name == wanted.dataset
        assert sight
        return Plan(("faa",), "", "CSV", {}, (), ())

    def count(self, made: Plan) -> int:
        assert made.columns
        return 2


@dataclass
class Owners:
    """What everybody may export."""

    seen: Sight | None = field(default_factory=Sight)

    def sight(self, *_: Any) -> Sight | None:
        return self.seen


@dataclass
class Bench:
    """A replica with all its parts; those of another share the database and the folder."""

    engine: Engine
    folder: Path
    source: Source = field(default_factory=Source)
    owners: Owners = field(default_factory=Owners)
    told: list[str] = field(default_factory=list)
    most_bytes: int = 1000

    def __post_init__(self) -> None:
        self.store = ExportStore(self.engine)
        self.schedules = ExportSchedules(self.engine)
        self.storage = ExportStorage(local(self.folder))
        self.worker = ExportWorker(
            ExportParts(
                self.store,
                self.schedules,
                cast(ExportSource, self.source),
                DatasetStore(self.engine),
                cast(ExportOwners, self.owners),
                {"download": self.storage},
                Limits(self.most_bytes, timedelta(hours=1)),
                lambda kind, *_: self.told.append(kind),
                Usage(self.engine),
            )
        )

    def put(self, **fields: Any) -> Job:
        made = job(**fields)
        self.store.add(made)
        return made

    def now(self, made: Job) -> Job:
        found = self.store.get(made.id)
        assert found is not None
        return found

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def bench(engine: Engine, tmp_path: Path) -> Bench:
    with engine.begin() as connection:
        fold_datasets(connection, live(AIRPORTS).items())
    return Bench(engine, tmp_path / "exports")


def lease_over(engine: Engine) -> None:
    """As if the worker had not been heard of since."""
    with engine.begin() as connection:
        connection.execute(update(EXPORTS).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))


def test_an_export_is_written_with_a_manifest_and_told(bench: Bench) -> None:
    made = bench.put()
    assert bench.worker.work_once()
    assert not bench.worker.work_once()
    done = bench.now(made)
    assert (done.state, done.rows, done.estimated_rows, done.size_bytes, done.error) == ("done", 2, 2, len(CONTENT), "")
    assert b"".join(bench.storage.read(place(done), done.file_name, 0, len(CONTENT))) == CONTENT
    manifest = json.loads((bench.folder / place(done) / "manifest.json").read_text())
    assert manifest == done.manifest
    assert manifest["parts"] == [
        {"name": done.file_name, "rows": 2, "size_bytes": len(CONTENT), "sha256": sha256(CONTENT).hexdigest()}
    ]
    assert manifest["complete_through"] == AT.isoformat()
    assert bench.told == ["export_done"]


def test_of_two_replicas_one_takes_an_export(bench: Bench, engine: Engine) -> None:
    made = bench.put()
    now = datetime.now(UTC)
    first = bench.store.take("one", now)
    assert first is not None
    assert first.id == made.id
    assert ExportStore(engine).take("two", now) is None
    assert ExportStore(engine).take("two", now + LEASE / 2) is None


def test_a_replica_that_died_loses_its_export_to_another_which_begins_anew(bench: Bench, engine: Engine) -> None:
    made = bench.put()
    dead = bench.store.take("dead", datetime.now(UTC))
    assert dead is not None
    bench.storage.write(place(dead), dead.file_name).write(b"half")
    assert not bench.worker.work_once(), "while the lease stands, it is the other's"
    lease_over(engine)
    assert bench.worker.work_once()
    done = bench.now(made)
    assert (done.state, done.attempts, done.size_bytes) == ("done", 2, len(CONTENT))
    assert not bench.store.end(made.id, "dead", "failed", AT), "who was taken for dead says nothing any more"
    assert bench.now(made).state == "done"


def test_a_worker_whose_export_was_taken_from_it_stops_and_leaves_nothing(bench: Bench, engine: Engine) -> None:
    made = bench.put()
    other = Bench(engine, bench.folder)

    def overtaken() -> None:
        lease_over(engine)
        assert other.worker.work_once()

    bench.source.before = overtaken
    assert bench.worker.work_once()
    done = bench.now(made)
    assert (done.state, done.attempts) == ("done", 2)
    assert {Path(each).parts[0] for each in bench.files()} == {place(done)}
    assert (bench.told, other.told) == ([], ["export_done"])


def test_an_export_that_kills_whoever_works_at_it_is_given_up(bench: Bench, engine: Engine) -> None:
    made = bench.put()
    for _ in range(MOST_ATTEMPTS):
        assert bench.store.take("dead", datetime.now(UTC)) is not None
        lease_over(engine)
    assert bench.worker.work_once()
    assert (bench.now(made).state, bench.told) == ("failed", ["export_failed"])
    assert "died" in bench.now(made).error


def test_a_warehouse_that_is_away_is_waited_for_and_not_for_ever(bench: Bench, engine: Engine) -> None:
    def away() -> None:
        raise Transient("the warehouse is away")

    made = bench.put()
    bench.source.before = away
    assert bench.worker.work_once()
    assert (bench.now(made).state, bench.now(made).error) == ("running", "the warehouse is away")
    assert not bench.worker.work_once(), "not at once"
    lease_over(engine)
    bench.source.before = lambda: None
    assert bench.worker.work_once()
    assert (bench.now(made).state, bench.now(made).error) == ("done", "")
    assert {Path(each).parts[0] for each in bench.files()} == {place(bench.now(made))}


def test_what_is_cancelled_stops_and_leaves_nothing(bench: Bench) -> None:
    made = bench.put()

    def cancelled() -> None:
        assert bench.store.cancel(made.id, AT)

    bench.source.before = cancelled
    assert bench.worker.work_once()
    assert (bench.now(made).state, bench.files(), bench.source.closed) == ("cancelled", [], 1)
    queued = bench.put()
    assert bench.store.cancel(queued.id, AT)
    assert not bench.worker.work_once()
    assert not bench.store.cancel(queued.id, AT), "twice is once"


def test_a_gateway_that_stops_gives_its_export_back(bench: Bench, engine: Engine) -> None:
    made = bench.put()
    bench.source.before = bench.worker.stop
    assert bench.worker.work_once()
    assert (bench.now(made).state, bench.now(made).attempts, bench.files()) == ("queued", 0, [])
    assert Bench(engine, bench.folder).worker.work_once()
    assert bench.now(made).state == "done"


def test_a_file_that_grows_too_large_is_given_up(bench: Bench, engine: Engine) -> None:
    small = Bench(engine, bench.folder, most_bytes=len(CONTENT) - 1)
    made = small.put()
    assert small.worker.work_once()
    assert (small.now(made).state, small.files(), small.told) == ("failed", [], ["export_failed"])
    assert "larger than" in small.now(made).error
    allowed = Bench(engine, bench.folder, most_bytes=len(CONTENT))
    again = allowed.put()
    assert allowed.worker.work_once()
    assert allowed.now(again).state == "done"


def test_who_may_not_export_any_more_when_it_begins_gets_nothing(bench: Bench) -> None:
    bench.owners.seen = None
    made = bench.put()
    assert bench.worker.work_once()
    assert (bench.now(made).state, bench.files()) == ("failed", [])
    assert "may not export nyc.airports any more" in bench.now(made).error


def test_files_are_deleted_when_their_time_is_over(bench: Bench) -> None:
    made = bench.put()
    assert bench.worker.work_once()
    bench.worker.tidy(datetime.now(UTC) + timedelta(minutes=59))
    assert (bench.now(made).state, len(bench.files())) == ("done", 2)
    bench.worker.tidy(datetime.now(UTC) + timedelta(minutes=61))
    assert (bench.now(made).state, bench.files()) == ("expired", [])
    bench.worker.tidy(datetime.now(UTC) + timedelta(days=31))
    assert bench.store.get(made.id) is None


def test_a_file_is_for_who_sees_what_it_holds() -> None:
    few, other = Sight(rows=("a > 1",)), Sight(rows=("a > 2",))
    made = job(sight=seen_as(few))
    assert fetch_refusal(made, few) is None
    assert fetch_refusal(made, Sight()) is None
    assert "changed" in (fetch_refusal(made, other) or "")
    assert "any more" in (fetch_refusal(made, None) or "")


def schedule(**fields: Any) -> ExportSchedule:
    made = ExportSchedule(
        new_id(), "u-ann", "ann", None, "nyc.airports", "csv", ("faa",), "", "download", AT, "30 6 * * *", "Europe/Zurich",
        paused=False, next_at=AT,
    )  # fmt: skip
    return replace(made, **fields)


def test_of_two_replicas_one_makes_the_export_that_is_due(bench: Bench, engine: Engine) -> None:
    due = schedule()
    bench.schedules.add(due)
    other = ExportSchedules(engine)
    read = other.of_owner(None)
    bench.schedules.make_due(AT - timedelta(seconds=1))
    assert bench.store.of_owner(None, 9) == []
    bench.schedules.make_due(AT)
    with pytest.MonkeyPatch.context() as patch:  # the other read the schedule before this one moved its time on
        patch.setattr(other, "_found", lambda _: read)
        other.make_due(AT)
    [made] = bench.store.of_owner(None, 9)
    after = bench.schedules.get(due.id)
    assert after is not None
    assert (made.schedule, made.columns, after.last_export) == (due.id, ("faa",), made.id)
    assert after.next_at == datetime(2026, 11, 28, 5, 30, tzinfo=UTC), "half past six in Zurich"


def test_a_schedule_that_rests_makes_nothing_and_times_that_passed_make_one(bench: Bench) -> None:
    due = schedule()
    bench.schedules.add(due)
    bench.schedules.pause(due.id, paused=True, next_at=due.next_at)
    bench.schedules.make_due(AT + timedelta(days=3))
    assert bench.store.of_owner(None, 9) == []
    bench.schedules.pause(due.id, paused=False, next_at=due.next_at)
    bench.schedules.make_due(AT + timedelta(days=3))
    assert len(bench.store.of_owner(None, 9)) == 1


@pytest.fixture
def gateway(lonely: Gateway) -> Gateway:
    """A gateway that can export nyc.airports."""
    with lonely.engine.begin() as connection:
        fold_datasets(connection, live(AIRPORTS).items())
    return replace(lonely, export_source=cast(ExportSource, Source()))


@pytest.fixture
def made(gateway: Gateway) -> tuple[Gateway, TestClient, str]:
    """A gateway, and what ann has exported."""
    client = TestClient(
        serve(gateway), headers=headers(bearer(gateway, "ann", "analyst")), raise_server_exceptions=False
    )
    answer = client.post("/api/v1/exports", json={"dataset": "nyc.airports", "format": "csv"})
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
    parts = ExportParts(
        gateway.exports,
        gateway.export_schedules,
        gateway.export_source,
        gateway.datasets,
        ExportOwners(gateway.access, gateway.assets),
        dict(gateway.export_storages),
        Limits(1000, timedelta(hours=1)),
        lambda *_: None,
        gateway.catalog.usage,
    )
    assert client.get(f"/api/v1/exports/{answer.json()['id']}/file").status_code == HTTPStatus.CONFLICT
    assert ExportWorker(parts).work_once()
    return gateway, client, f"/api/v1/exports/{answer.json()['id']}"


def test_a_file_is_fetched_whole_or_in_parts(made: tuple[Gateway, TestClient, str]) -> None:
    _, client, path = made
    shown = client.get(path).json()
    assert (shown["state"], shown["rows"], shown["owner"]) == ("done", 2, "ann")
    whole = client.get(f"{path}/file")
    assert (whole.status_code, whole.content) == (HTTPStatus.OK, CONTENT)
    assert whole.headers["x-headrace-sha256"] == sha256(CONTENT).hexdigest()
    etag = whole.headers["etag"]
    rest = client.get(f"{path}/file", headers={"Range": "bytes=5-", "If-Range": etag})
    assert (rest.status_code, rest.content) == (HTTPStatus.PARTIAL_CONTENT, CONTENT[5:])
    assert rest.headers["content-range"] == f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}"
    other = client.get(f"{path}/file", headers={"Range": "bytes=5-", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (HTTPStatus.OK, CONTENT)
    beyond = client.get(f"{path}/file", headers={"Range": "bytes=999-"})
    assert beyond.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    assert client.delete(path).status_code == HTTPStatus.NO_CONTENT
    assert client.get(path).status_code == HTTPStatus.NOT_FOUND


def test_an_export_in_the_background_is_a_use(made: tuple[Gateway, TestClient, str]) -> None:
    gateway, _, _ = made
    (user,) = gateway.catalog.usage.users("nyc.airports", AT.date())
    assert (user.name, user.queries, user.exports) == ("ann", 0, 1)


def test_a_grant_that_was_taken_away_ends_the_download(made: tuple[Gateway, TestClient, str]) -> None:
    gateway, client, path = made
    assert client.get(f"{path}/file").status_code == HTTPStatus.OK
    gateway.access.remove("a test", AT, gateway.access.book.grants["g-ann"])
    refused = client.get(f"{path}/file")
    assert refused.status_code == HTTPStatus.FORBIDDEN
    assert "may not export nyc.airports any more" in refused.json()["detail"]


def test_an_export_is_its_owners_and_the_administrators(made: tuple[Gateway, TestClient, str]) -> None:
    gateway, client, path = made
    bob = headers(bearer(gateway, "bob", "analyst"))
    root = headers(bearer(gateway, "root", "admin"))
    for method, at in (("GET", path), ("GET", f"{path}/file"), ("DELETE", path)):
        assert client.request(method, at, headers=bob).status_code == HTTPStatus.NOT_FOUND
    assert client.get("/api/v1/exports", headers=bob).json() == {"items": []}
    assert len(client.get("/api/v1/exports", headers=root).json()["items"]) == 1
    assert client.get(f"{path}/file", headers=root).status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    ("action", "scope", "reaches"),
    [(Action.SEE, "*", False), (Action.EXPORT, "domain:shop", False), (Action.EXPORT, "domain:nyc", True)],
)
def test_a_token_reaches_the_exports_and_schedules_it_could_have_made(
    made: tuple[Gateway, TestClient, str], action: Action, scope: str, reaches: bool
) -> None:
    gateway, client, path = made
    body = {"dataset": "nyc.airports", "cron": "30 6 * * 1-5"}
    schedule_id = client.post("/api/v1/export-schedules", json=body).json()["id"]
    narrow = headers(gateway.access.new_token("a test", AT, "u-ann", "narrow", [action], [Scope.parse(scope)], None)[1])
    for listing in ("/api/v1/exports", "/api/v1/export-schedules"):
        assert len(client.get(listing, headers=narrow).json()["items"]) == int(reaches)
    for method, at in (
        ("GET", path),
        ("POST", f"/api/v1/export-schedules/{schedule_id}/pause"),
        ("DELETE", f"/api/v1/export-schedules/{schedule_id}"),
        ("DELETE", path),
    ):
        assert client.request(method, at, headers=narrow).is_success == reaches


def test_who_may_only_see_may_not_export(gateway: Gateway) -> None:
    viewer = TestClient(
        serve(gateway), headers=headers(bearer(gateway, "vic", "viewer")), raise_server_exceptions=False
    )
    assert viewer.get("/api/v1/datasets/nyc.airports/export").status_code == HTTPStatus.FORBIDDEN
    body = {"dataset": "nyc.airports"}
    assert viewer.post("/api/v1/exports", json=body).status_code == HTTPStatus.FORBIDDEN
    assert (
        viewer.post("/api/v1/export-schedules", json=body | {"cron": "0 6 * * *"}).status_code == HTTPStatus.FORBIDDEN
    )
    ann = headers(bearer(gateway, "ann", "analyst", "dataset:nyc.flights"))
    assert viewer.post("/api/v1/exports", json=body, headers=ann).status_code == HTTPStatus.NOT_FOUND
    cathy = headers(bearer(gateway, "cathy", "analyst"))
    assert viewer.post("/api/v1/exports", json=body, headers=cathy).status_code == HTTPStatus.ACCEPTED


def test_a_schedule_is_set_up_paused_resumed_and_removed(gateway: Gateway) -> None:
    client = TestClient(
        serve(gateway), headers=headers(bearer(gateway, "ann", "analyst")), raise_server_exceptions=False
    )
    body = {"dataset": "nyc.airports", "cron": "30 6 * * 1-5", "timezone": "Europe/Zurich"}
    answer = client.post("/api/v1/export-schedules", json=body)
    assert answer.status_code == HTTPStatus.CREATED, answer.text
    path = f"/api/v1/export-schedules/{answer.json()['id']}"
    assert datetime.fromisoformat(answer.json()["next_at"]) > datetime.now(UTC)
    assert client.post(f"{path}/pause").json()["next_at"] is None
    assert client.post(f"{path}/resume").json()["next_at"] is not None
    bob = headers(bearer(gateway, "bob", "analyst"))
    assert client.post(f"{path}/pause", headers=bob).status_code == HTTPStatus.NOT_FOUND
    assert client.delete(path).status_code == HTTPStatus.NO_CONTENT
    assert client.get("/api/v1/export-schedules").json() == {"items": []}
    wrong = client.post("/api/v1/export-schedules", json=body | {"cron": "every day"})
    assert wrong.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "five fields" in wrong.json()["detail"]
    nowhere = client.post("/api/v1/exports", json={"dataset": "nyc.airports", "destination": "s3"})
    assert (nowhere.status_code, "HEADRACE_EXPORT_BUCKET" in nowhere.json()["detail"]) == (HTTPStatus.CONFLICT, True)
