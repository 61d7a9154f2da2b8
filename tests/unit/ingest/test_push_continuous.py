"""Producers that keep sending: what they are told, and that what they repeat is written once."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.testclient import WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from headrace.errors import Fenced
from services.ingest.connectors.http_push.continuous import Frames, settled
from services.ingest.connectors.http_push.desk import Answer, Numbered, Push
from tests.unit.ingest.pushing import NAME, NDJSON, TOKEN, Broker, Service, broken, dataset, problem, served

PATH = f"/v1/datasets/{NAME}/stream"
Message = MutableMapping[str, Any]


def ndjson(first: int, rows: int) -> str:
    return "".join(f'{{"id": {n}}}\n' for n in range(first, first + rows))


def connect(service: Service, token: str = TOKEN, **query: str) -> WebSocketTestSession:
    return service.client.websocket_connect(PATH, params=query, headers={"Authorization": f"Bearer {token}"})


def ids(service: Service) -> list[int]:
    return [row["id"] for row in service.broker.rows]


def told_through(socket: WebSocketTestSession, frame: int) -> dict[str, int]:
    """What is told until a frame is acknowledged, added up."""
    total = {"accepted": 0, "quarantined": 0, "repeated": 0}
    while True:
        told = socket.receive_json()
        total = {name: total[name] + told[name] for name in total}
        assert told["through_frame"] <= frame
        if told["through_frame"] == frame:
            return {**total, **({"through_number": told["through_number"]} if "through_number" in told else {})}


def closed(socket: WebSocketTestSession) -> tuple[int, str]:
    """The code and reason a connection is closed with, after a frame that says more."""
    while "problem" not in (told := socket.receive_json()):
        pass
    with pytest.raises(WebSocketDisconnect) as ended:
        socket.receive_json()
    assert told["problem"]["status"] == ended.value.code - 4000
    assert told["problem"]["next"]
    return ended.value.code, ended.value.reason or ""


# A WebSocket


def test_rows_and_arrays_are_acknowledged_once_they_are_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service, connect(service) as socket:
        socket.send_text('{"id": 0}')
        assert told_through(socket, 1) == {"accepted": 1, "quarantined": 0, "repeated": 0}
        assert ids(service) == [0]
        socket.send_text('[{"id": 1},\n {"id": 2}, {"id": NaN}]')
        socket.send_text('{"id":\n 3}')
        assert told_through(socket, 3) == {"accepted": 3, "quarantined": 1, "repeated": 0}
        assert ids(service) == [0, 1, 2, 3]


def test_numbers_of_the_sender_s_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service, connect(service) as socket:
        socket.send_text('4711 {"id": 0}')
        assert told_through(socket, 1)["through_number"] == 4711


def test_a_named_producer_goes_on_where_it_was_and_what_it_repeats_is_written_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = Broker()
    with served(dataset(), monkeypatch, broker=broker) as service:
        with connect(service, producer="p") as socket:
            assert socket.receive_json() == {"producer": "p", "last": None}
            for n in (1, 2, 5):
                socket.send_text(f'{n} {{"id": {n}}}')
            assert told_through(socket, 3)["through_number"] == 5
        with connect(service, producer="p") as socket:
            assert socket.receive_json() == {"producer": "p", "last": 5}
            for n in (2, 5, 6):
                socket.send_text(f'{n} {{"id": {n}}}')
            assert told_through(socket, 3) == {"accepted": 1, "quarantined": 0, "repeated": 2, "through_number": 6}
        assert ids(service) == [1, 2, 5, 6]
    with served(dataset(), monkeypatch, broker=broker) as restarted:
        answer = restarted.client.get(f"/v1/datasets/{NAME}/producers/p", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.json() == {"dataset": NAME, "producer": "p", "last": 6}
        with connect(restarted, producer="another") as socket:
            assert socket.receive_json()["last"] is None


def test_the_control_without_a_name_what_is_repeated_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        for _ in range(2):
            with connect(service) as socket:
                socket.send_text('1 {"id": 1}')
                told_through(socket, 1)
        assert ids(service) == [1, 1]


@pytest.mark.parametrize(
    ("frames", "code", "reason"),
    [
        (['{"id": 1}'], 4400, "has no number"),
        (['2 {"id": 2}', '2 {"id": 2}'], 4422, "2 follows 2"),
        (['1 [{"id": 1}'], 4400, "not closed"),
        (["1 [" + ",".join(['{"id": 1}'] * 4) + "]"], 4413, "rows_per_request"),
        (['1 {"id": "' + "x" * 1000 + '"}'], 4413, "max_body_bytes"),
    ],
)
def test_a_frame_that_cannot_be_taken_ends_the_connection_with_why(
    frames: Sequence[str], code: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"rows_per_request": 3, "max_body_bytes": 1000}
    with served(dataset(limits=limits), monkeypatch) as service, connect(service, producer="p") as socket:
        for frame in frames:
            socket.send_text(frame)
        found = closed(socket)
        assert found[0] == code
        assert reason in found[1]
        assert len(ids(service)) == len(frames) - 1, "what came whole before it is written"


def test_binary_frames_and_strangers_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        with connect(service) as socket:
            socket.send_bytes(b'{"id": 1}')
            assert closed(socket)[0] == 4415
        with connect(service, token="guess") as socket:
            socket.send_text('{"id": 1}')
            assert closed(socket)[0] == 4401
        assert ids(service) == []


def test_a_token_that_is_revoked_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"one": "first-token"}
    with (
        served(dataset(tokens=["secret://one"]), monkeypatch, secrets=known) as service,
        connect(service, token="first-token") as socket,
    ):
        socket.send_text('{"id": 1}')
        told_through(socket, 1)
        known["one"] = "second-token"
        service.clock.now += 1.0
        socket.send_text('{"id": 2}')
        assert closed(socket)[0] == 4401
        assert ids(service) == [1]


def test_a_transaction_that_fails_ends_the_connection_and_the_retry_is_written_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with served(dataset(), monkeypatch) as service:
        with connect(service, producer="p") as socket:
            socket.receive_json()
            service.broker.failures.append(broken())
            socket.send_text('1 {"id": 1}')
            assert closed(socket) == (4503, "the broker is away")
        with connect(service, producer="p") as socket:
            assert socket.receive_json()["last"] is None
            for n in (1, 2):
                socket.send_text(f'{n} {{"id": {n}}}')
            told_through(socket, 2)
        assert ids(service) == [1, 2]


# A stream of lines


def acknowledgements(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_whole_stream_is_acknowledged_through_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        answer = service.post(ndjson(0, 3) + '\nnot json\n{"id": 3}', to="stream")
        assert answer.status_code == 200
        told = acknowledgements(answer.text)
        assert told[-1]["through_line"] == 6, "the blank line counts, and the last without a line end"
        assert sum(each["accepted"] for each in told) == 4
        assert sum(each["quarantined"] for each in told) == 1
        assert ids(service) == [0, 1, 2, 3]


def test_a_compressed_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        answer = service.post(gzip.compress(ndjson(0, 100).encode()), to="stream", Content_Encoding="gzip")
        assert acknowledgements(answer.text)[-1]["through_line"] == 100
        assert ids(service) == list(range(100))
        cut = service.post(gzip.compress(ndjson(0, 100).encode())[:-4], to="stream", Content_Encoding="gzip")
        assert acknowledgements(cut.text)[-1]["problem"]["status"] == 400
        bomb = gzip.compress(b"\n" * (32 << 20))
        refused = service.post(bomb, to="stream", Content_Encoding="gzip")
        assert "max_ratio" in acknowledgements(refused.text)[-1]["problem"]["detail"]


def test_lines_that_a_named_producer_repeats_are_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        service.post(ndjson(1, 4), to="stream?producer=p")
        again = acknowledgements(service.post(ndjson(1, 6), to="stream?producer=p").text)
        assert sum(each["repeated"] for each in again) == 4
        assert again[-1]["through_number"] == 6
        service.post(ndjson(7, 2), to="stream?producer=p&first=7")
        assert ids(service) == list(range(1, 9))


def test_a_stream_that_cannot_begin_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        assert problem(service.post("", "text/plain", to="stream"), 415)
        assert problem(service.post("", to="stream", Content_Encoding="br"), 415)
        assert problem(service.post("", to="stream", token="guess"), 401)
        assert problem(service.post("", to="stream?producer=a%20b"), 422)


def test_lines_are_acknowledged_while_more_come_and_a_cut_line_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spoken as the server does, because a test client sends a whole body before it reads."""
    with served(dataset(), monkeypatch) as service:
        asyncio.run(_talk(service))
        assert ids(service) == [1, 2, 3]


async def _talk(service: Service) -> None:
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    outgoing: asyncio.Queue[Message] = asyncio.Queue()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {TOKEN}".encode()), (b"content-type", NDJSON.encode())],
    }
    serving = asyncio.create_task(service.app(scope, incoming.get, outgoing.put))

    async def send(body: bytes) -> None:
        await incoming.put({"type": "http.request", "body": body, "more_body": True})

    async def told() -> dict[str, Any]:
        message = await asyncio.wait_for(outgoing.get(), 30)
        found: dict[str, Any] = json.loads(message["body"])
        return found

    await send(b'{"id": 1}\n{"id"')
    assert (await asyncio.wait_for(outgoing.get(), 30))["status"] == 200
    assert (await told())["through_line"] == 1
    await send(b': 2}\n{"id": 3}\n{"id": 4')
    assert (await told())["through_line"] == 3
    await incoming.put({"type": "http.disconnect"})
    await asyncio.wait_for(serving, 30)


# What lies below both


def test_of_several_groups_one_is_written_at_a_time_and_none_after_one_that_failed() -> None:
    written: list[list[bytes]] = []

    async def incoming() -> AsyncIterator[Frames]:
        for n in range(1, 4):
            yield Frames(n, [b"%d" % n])
            await asyncio.sleep(0)

    async def write(group: Frames) -> Answer:
        written.append(list(group.frames))
        await asyncio.sleep(0.01)
        raise broken()

    async def run() -> None:
        async for _ in settled(incoming(), write):
            pass

    with pytest.raises(type(broken())):
        asyncio.run(run())
    assert written == [[b"1"]]


def test_a_producer_is_not_read_from_while_too_much_waits() -> None:
    read = 0

    async def incoming() -> AsyncIterator[Frames]:
        nonlocal read
        while True:
            read += 1
            yield Frames(read, [b"x" * (1 << 20)])

    async def run() -> None:
        may_commit = asyncio.Event()

        async def write(_: Frames) -> Answer:
            await may_commit.wait()
            return Answer(1, 0)

        groups = settled(incoming(), write)
        first = asyncio.create_task(anext(groups))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert read < 10
        before = read
        may_commit.set()
        await first
        for _ in range(1000):
            await asyncio.sleep(0)
        await anext(groups)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert read > before, "the control: it goes on once there is room"
        await groups.aclose()

    asyncio.run(run())


def group(*numbers: int) -> Push:
    return Push.of(Numbered("p", numbers, [b'{"id": %d}' % n for n in numbers]))


def test_frames_of_two_connections_at_once_are_written_once_in_whatever_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An old connection's group may still wait when the producer has come back and sends it again in other groups."""
    with served(dataset(), monkeypatch) as service:
        waiting = [group(1, 2, 3), group(2, 3), group(3, 4), group(1, 2, 3, 4, 5), group()]
        answers = [future.result(30) for future in [service.desk.hand_in(NAME, push) for push in waiting]]
        assert ids(service) == [1, 2, 3, 4, 5]
        assert [(each.accepted, each.repeated_frames) for each in answers] == [(3, 0), (0, 2), (1, 1), (1, 4), (0, 0)]
        assert answers[-1].last == 5


def test_what_waits_for_a_transaction_that_fails_is_not_taken_for_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        service.broker.failures += [broken()] * 3  # however many transactions they share
        for future in [service.desk.hand_in(NAME, push) for push in (group(1, 2), group(1, 2), group(2))]:
            assert future.exception(30) is not None
        service.broker.failures.clear()
        assert service.desk.hand_in(NAME, group()).result(30).last is None
        assert service.desk.hand_in(NAME, group(1, 2)).result(30).accepted == 2
        assert ids(service) == [1, 2]


class Overtaken(Broker):
    """The first transaction is written by another instance, which shuts this one out."""

    @contextmanager
    def transaction(self) -> Iterator[Broker]:
        """See `Broker.transaction`."""
        with super().transaction():
            yield self
        if self.transactions == 1:
            raise Fenced("another instance has taken over")


@pytest.mark.parametrize(
    "pushes",
    [
        lambda: [Push(b'{"id": 1}', "ndjson", "k") for _ in range(3)],
        lambda: [group(1), group(1), group(1)],
    ],
)
def test_what_another_instance_has_written_is_answered_as_repeated(
    pushes: Callable[[], list[Push]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(dataset(), monkeypatch, broker=Overtaken()) as service:
        answers = [future.result(30) for future in [service.desk.hand_in(NAME, push) for push in pushes()]]
        assert [answer.repeated or answer.repeated_frames > 0 for answer in answers] == [True] * 3
        assert ids(service) == [1]
        assert service.post('{"id": 2}', Idempotency_Key="next").status_code == 202, "the writer is still at work"
