"""What an engine keeps in a file: rows and how far they were read agree, damage is found, and SQL can only read the rows."""

import errno
import logging
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pydantic import SecretStr

from headrace.contract import reference_table
from headrace.errors import Fatal, Fenced, HeadraceError, Transient
from headrace.transform import kept, store
from headrace.transform.engine import Engine, Step
from headrace.transform.isolate import RowError, TooCostly
from headrace.transform.kept import Kept
from headrace.transform.personal import functions
from headrace.transform.reference import append, create, create_ages, drop
from headrace.transform.sandbox import Sandbox
from headrace.transform.store import PASSING, Occupied, Store, Unreadable
from headrace.transform.wire import Box

NAME, TABLE = "shop.codes", "ref_shop__codes"
KEPT = Kept(1, "id", "shape", False)
FIELDS: tuple[pa.Field, ...] = (pa.field("id", pa.int64()), pa.field("text", pa.string()))
NOTHING = pa.RecordBatch.from_pylist([], schema=pa.schema(FIELDS))
BATCH = 20_000


def begin(engine: Engine) -> None:
    kept.prepare(engine)
    engine.load((f"{drop(TABLE)}; {create(TABLE)}", NOTHING), *kept.begun(NAME, KEPT))


def changes(first: int, count: int = BATCH) -> Step:
    ids = range(first, first + count)
    texts = [f"what row {at} says" for at in ids]
    rows = pa.RecordBatch.from_pydict({"id": list(ids), "text": texts, "__deleted": [False] * count})
    return append(TABLE, ["id", "text"]), rows


def position(engine: Engine) -> int:
    return kept.found(engine)[NAME].offsets.get(0, 0)


def agree(engine: Engine) -> bool:
    """The law: the table has the rows up to the offset, each once."""
    [found] = engine.query(
        f"SELECT count(*) AS rows, count(DISTINCT id) AS ids, coalesce(max(id) + 1, 0) AS next FROM {TABLE}", NOTHING
    ).to_pylist()
    return set(found.values()) == {position(engine)}


def kill(sandbox: Sandbox) -> None:
    process = sandbox._process
    assert process is not None
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox(store=Store(tmp_path / "kept"))
    begin(made)
    yield made
    made.close()


def test_killed_at_any_point_of_a_load_rows_and_offsets_agree(sandbox: Sandbox) -> None:
    kills = 0
    for wait_ms in (0, 5, 10, 20, 40):
        timer = threading.Timer(wait_ms / 1000, kill, (sandbox,))
        timer.start()
        try:
            while True:
                at = position(sandbox)
                sandbox.load(changes(at), kept.read_to(NAME, {0: at + BATCH}))
        except (Transient, TooCostly):
            kills += 1
        assert agree(sandbox)
    assert kills == 5
    at = position(sandbox)
    sandbox.load(changes(at), kept.read_to(NAME, {0: at + BATCH}))
    assert agree(sandbox)
    assert position(sandbox) == at + BATCH


def test_with_offsets_written_apart_they_do_not(sandbox: Sandbox) -> None:
    """The control."""
    sandbox.load(changes(0))
    kill(sandbox)
    with pytest.raises(Transient, match="is read on"):
        sandbox.load(kept.read_to(NAME, {0: BATCH}))
    assert not agree(sandbox)
    sandbox.load(changes(position(sandbox)))
    sandbox.load(kept.read_to(NAME, {0: BATCH}))
    assert not agree(sandbox)  # every row is there twice


def test_who_begins_again_finds_what_was_kept(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.load(changes(0), kept.read_to(NAME, {0: BATCH}))
    sandbox.close()
    again = Sandbox(store=Store(tmp_path / "kept"))
    assert kept.found(again) == {NAME: kept.Found(KEPT, {0: BATCH})}
    assert agree(again)
    again.close()


def filled(folder: Path) -> Path:
    """A store, all of it in its file."""
    engine = Engine(store=Store(folder))
    begin(engine)
    for at in range(0, 5 * BATCH, BATCH):
        engine.load(changes(at), kept.read_to(NAME, {0: at + BATCH}))
    engine.close()
    return folder / "tables.duckdb"


def test_how_old_rows_are_stands_in_the_table_of_no_other_dataset() -> None:
    engine, of = Engine(), reference_table("shop.codes__ages")
    engine.load((create(of), changes(0, 3)[1]), (create_ages(reference_table("shop.codes"), ["id"]), NOTHING))
    assert len(engine.query(f"SELECT id FROM {of}", NOTHING)) == 3
    engine.close()


def test_a_store_can_be_opened_again(tmp_path: Path) -> None:
    filled(tmp_path)
    engine = Engine(store=Store(tmp_path))
    assert agree(engine)
    engine.close()


@pytest.mark.parametrize("damage", ["cut", "emptied", "begin", "middle", "other", "text"])
def test_what_is_damaged_is_found_when_it_is_opened_and_kept_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    file = filled(tmp_path / "kept")
    there = bytearray(file.read_bytes())
    block = there.index(b"row 5") if b"row 5" in there else len(there) // 2
    match damage:
        case "cut":
            file.write_bytes(there[: len(there) // 2])
        case "emptied":
            file.write_bytes(b"")
        case "begin":
            file.write_bytes(b"\xff" * 4096 + there[4096:])
        case "middle":
            there[block] ^= 1
            file.write_bytes(there)
        case "other":
            file.unlink()
            duckdb.connect(str(file)).execute("CREATE TABLE ref_shop__codes (id INT)").close()
        case "text":
            file.write_text("this is no database\n" * 1000)
    with pytest.raises(Unreadable):
        Engine(store=Store(tmp_path / "kept"))
    sandbox = Sandbox(store=Store(tmp_path / "kept"))
    begin(sandbox)
    assert agree(sandbox)
    assert position(sandbox) == 0
    assert "cannot be read, and is kept anew" in caplog.text
    sandbox.close()


def test_what_another_version_kept_is_kept_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as before:
        before.setattr(store, "LAYOUT", "0, DuckDB 0.1")
        filled(tmp_path)
    sandbox = Sandbox(store=Store(tmp_path))
    kept.prepare(sandbox)
    assert kept.found(sandbox) == {}
    assert "it was written in layout 0, DuckDB 0.1" in caplog.text
    sandbox.close()


def test_a_process_that_crashes_over_what_is_kept_is_not_started_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path)
    start, started = Sandbox._start, []

    def crashing(self: Sandbox) -> None:
        start(self)
        assert self._process is not None
        started.append(self._process.pid)
        if len(started) == 1:
            os.kill(self._process.pid or 0, signal.SIGSEGV)

    monkeypatch.setattr(Sandbox, "_start", crashing)
    sandbox = Sandbox(store=Store(tmp_path))
    kept.prepare(sandbox)
    assert kept.found(sandbox) == {}
    assert len(started) == 2
    assert "cannot be read, and is kept anew: the process that computed the SQL was ended (SIGSEGV)" in caplog.text
    sandbox.close()


def test_what_another_process_has_open_is_left_to_it(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("headrace.transform.sandbox._OCCUPIED_S", 0.1)
    with pytest.raises(Occupied):
        Engine(store=Store(tmp_path / "kept"))
    sandbox.load(changes(0), kept.read_to(NAME, {0: BATCH}))
    other = Sandbox(store=Store(tmp_path / "kept"))
    begin(other)
    assert position(other) == 0
    assert "is in use, and is kept beside it for now" in caplog.text
    assert [*(tmp_path / "passing").iterdir()] != []
    other.close()
    assert [*(tmp_path / "passing").iterdir()] == []
    assert agree(sandbox)
    assert position(sandbox) == BATCH


def test_one_that_gives_way_is_waited_for(sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sandbox.load(changes(0), kept.read_to(NAME, {0: BATCH}))
    timer = threading.Timer(0.3, sandbox.close)
    timer.start()
    other = Sandbox(store=Store(tmp_path / "kept"))
    assert position(other) == BATCH
    assert caplog.records == []
    timer.join()
    other.close()


def test_where_a_process_was_ended_unasked_what_is_kept_is_told_when_asked_again(sandbox: Sandbox) -> None:
    """No row is at fault: an error that says so would stop the dataset."""
    sandbox.load(changes(0), kept.read_to(NAME, {0: BATCH}))
    kill(sandbox)
    with pytest.raises(Transient, match="SIGKILL"):
        kept.found(sandbox)
    assert agree(sandbox)


def test_what_is_passing_goes_also_when_no_process_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Box, "new", none_left)
    with pytest.raises(Fenced):
        Sandbox(store=Store.aside(tmp_path))
    assert list((tmp_path / PASSING).iterdir()) == []


@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_where_there_is_no_room_what_is_kept_stays(why: int) -> None:
    said = store._blamed(duckdb.IOException(f"IO Error: Could not write file: {os.strerror(why)}"))
    assert not isinstance(said, Unreadable)


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="Memory"):
        Sandbox("much", store=Store(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(HeadraceError):
        Sandbox(store=Store(tmp_path / "file"))
    with pytest.raises(Fatal, match="cannot be kept in"):
        Store.aside(tmp_path / "file")


def attempts(folder: Path) -> list[str]:
    """What SQL might try with a file and a folder that its engine may write to."""
    own, spill = folder / "tables.duckdb", folder / "spill"
    writes = [f"COPY (SELECT 1) TO '{place}/x.csv'" for place in (spill, folder, folder.parent, f"{spill}/..")]
    changing = [
        f"INSERT INTO {TABLE} VALUES (1, 'x')",
        f"UPDATE {TABLE} SET id = 0",
        f"DELETE FROM {TABLE}",
        "DELETE FROM kept.offsets",
        "INSERT INTO kept.offsets VALUES ('shop.codes', 0, 99)",
        f"MERGE INTO {TABLE} USING input ON id = a WHEN MATCHED THEN DELETE",
    ]
    return [
        *writes,
        *(f"WITH x AS ({sql}) SELECT * FROM input" for sql in writes),
        *changing,
        *(f"WITH x AS ({sql} RETURNING 1 AS y) SELECT y FROM x" for sql in changing),
        *(f"ROLLBACK; {sql}; COMMIT" for sql in (*changing, *writes)),
        *(f"SELECT 1 AS a; COMMIT; {sql}; BEGIN" for sql in changing),
        *(f"EXPLAIN ANALYZE {sql}" for sql in changing),
        f"DROP TABLE {TABLE}",
        f"CREATE TABLE mine AS FROM {TABLE}",
        f"CREATE VIEW mine AS FROM {TABLE}",
        f"COPY (SELECT 1) TO '{own}'",
        f"EXPORT DATABASE '{spill}/all'",
        f"ATTACH '{spill}/other.duckdb' AS other",
        f"ATTACH '{own}' AS other",
        f"ATTACH '{folder.parent}/others/tables.duckdb' AS other (READ_ONLY)",
        f"SELECT * FROM read_duckdb('{folder.parent}/others/tables.duckdb')",
        f"SELECT * FROM read_blob('{folder.parent}/others/tables.duckdb')",
        f"SELECT * FROM read_blob('{spill}/../../others/tables.duckdb')",
        f"SELECT * FROM glob('{folder.parent}/*')",
        f"SELECT * FROM read_text('{folder.parent}/secret.txt')",
        f"CALL enable_logging(storage='file', storage_path='{spill}/log')",
        f"SET temp_directory = '{folder.parent}'",
        "SET max_temp_directory_size = '1TB'",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "PRAGMA force_checkpoint",
        "CHECKPOINT",
        "VACUUM",
        "INSTALL httpfs",
        "DETACH tables",
    ]


def test_sql_reaches_the_rows_it_is_given_and_nothing_else(tmp_path: Path) -> None:
    filled(tmp_path / "others")
    (tmp_path / "secret.txt").write_text("s3cret")
    folder = tmp_path / "own"
    filled(folder)
    engine = Engine(store=Store(folder))
    (folder / "spill").mkdir(exist_ok=True)
    rows = pa.record_batch({"a": [1, 2]})
    for sql in attempts(folder):
        for ask in (engine.query, lambda sql, rows: engine.produced(sql, rows.schema)):
            try:
                ask(sql, rows)
            except (Fatal, RowError):
                continue
            pytest.fail(f"was done: {sql}")
    assert agree(engine)
    assert position(engine) == 5 * BATCH
    assert [*(folder / "spill").iterdir()] == []
    assert {each.name for each in tmp_path.iterdir()} == {"others", "own", "secret.txt"}
    engine.close()


def test_without_looking_at_it_some_of_that_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: DuckDB's own lock leaves the tables and the folder of what does not fit in memory."""
    folder = tmp_path / "own"
    filled(folder)
    monkeypatch.setattr("headrace.transform.looking.Looking.examine", lambda *_: None)
    monkeypatch.setattr("headrace.transform.engine.LOOK", "BEGIN TRANSACTION")
    engine = Engine(store=Store(folder))
    (folder / "spill").mkdir(exist_ok=True)
    rows = pa.record_batch({"a": [1, 2]})
    engine.query(f"WITH x AS (COPY (SELECT 1) TO '{folder}/spill/x.csv') SELECT * FROM input", rows)
    assert (folder / "spill" / "x.csv").exists()
    engine.query("SELECT 1 AS a; COMMIT; DELETE FROM kept.offsets; BEGIN; SELECT 1", rows)
    assert position(engine) == 0
    engine.close()


def test_what_does_not_fit_in_memory_is_written_beside_it_up_to_a_limit(tmp_path: Path) -> None:
    rows = pa.record_batch({"a": [1, 2]})
    hard_to_compress = "md5(i::VARCHAR) || md5((i + 1)::VARCHAR) || md5((i + 2)::VARCHAR)"
    large = f"SELECT max(len(t)) AS n FROM (SELECT DISTINCT {hard_to_compress} AS t FROM range(1000000) AS r(i))"
    roomy, tight = Engine("64MB", store=Store(tmp_path / "a")), Engine("64MB", store=Store(tmp_path / "b", "10MB"))
    assert roomy.query(large, rows).num_rows == 1
    for engine in (tight, Engine("64MB")):
        with pytest.raises(TooCostly, match="more memory"):
            engine.query(large, rows)
        assert engine.query("SELECT a FROM input", rows).num_rows == 2
        engine.close()
    roomy.close()


def test_the_keys_of_personal_data_are_in_no_file(tmp_path: Path) -> None:
    key = "k3y-" * 16
    sandbox = Sandbox(store=Store(tmp_path))
    statements = functions("shop.orders", SecretStr(key))
    sandbox.define(statements)
    begin(sandbox)
    sandbox.load(changes(0), kept.read_to(NAME, {0: BATCH}))
    hashed = sandbox.query("SELECT keyed_hash(a) AS h FROM input", pa.record_batch({"a": [1]}))
    assert len(hashed.column(0)[0].as_py()) == 64
    secrets = [text[text.index("unhex('") + 7 :][:128].encode() for text in statements if "unhex('" in text]
    assert secrets != []
    assert not any(secret in _bytes(tmp_path) for secret in secrets)
    sandbox.define(statement.replace("TEMP MACRO", "MACRO") for statement in statements)  # the control
    assert any(secret in _bytes(tmp_path) for secret in secrets)
    sandbox.close()


def _bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
