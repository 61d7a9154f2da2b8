"""Producers that keep sending to a real broker: whatever is killed, each row is written once."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.integration.ingest.running import TOKEN, Ingest, Platform, ingest, until

PUSH = {"type": "http_push"}
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def websocket(running: Ingest, dataset: str, producer: str | None = None) -> Iterator[ClientConnection]:
    query = f"?producer={producer}" if producer else ""
    url = f"{running.url.replace('http', 'ws')}/v1/datasets/{dataset}/stream{query}"
    with connect(url, additional_headers=AUTHORISED, open_timeout=30, max_size=None) as opened:
        yield opened


def told(connection: ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(connection.recv(timeout=60))
    return found


def row(number: int) -> str:
    return json.dumps({"id": number, "name": f"n{number}"})


def last_of(running: Ingest, dataset: str, producer: str) -> int | None:
    answer = httpx.get(f"{running.url}/v1/datasets/{dataset}/producers/{producer}", headers=AUTHORISED, timeout=60)
    assert answer.status_code == 200, answer.text
    found: int | None = answer.json()["last"]
    return found


def send_all(running: Ingest, dataset: str, first: int, through: int) -> None:
    """Send the frames of producer p over a WebSocket and wait until all are acknowledged."""
    with websocket(running, dataset, "p") as opened:
        told(opened)
        for number in range(first, through + 1):
            opened.send(f"{number} {row(number)}")
        while told(opened)["through_number"] < through:
            pass


def failures(running: Ingest, dataset: str) -> list[str]:
    """What it has logged with a traceback, but for what other tests left behind: datasets that stop, records nobody can read."""
    found = []
    for line in running.log().splitlines():
        with suppress(ValueError):
            if json.loads(line).get("dataset") not in (None, dataset):
                continue
        if "raceback" in line and "has an unreadable record" not in line:
            found.append(line)
    return found


def test_frames_are_acknowledged_once_they_are_durable(
    platform: Platform, dataset: str, port: int, tmp_path: Path
) -> None:
    platform.apply(dataset, PUSH)
    with ingest(platform, port, tmp_path) as running:
        running.push_when_ready(dataset, row(0))
        with websocket(running, dataset) as opened:
            opened.send(f"[{row(1)}, {row(2)}, 7]")
            assert told(opened) == {"accepted": 2, "quarantined": 1, "repeated": 0, "through_frame": 1}
            assert platform.column(dataset, "id") == [0, 1, 2]
    assert [record["reason"] for record in platform.quarantine(dataset)] == ["unreadable_row"]


def test_kill_9_amid_a_websocket_and_the_producer_goes_on_at_another_instance(
    platform: Platform, dataset: str, port: int, tmp_path: Path, another_port: Callable[[], int]
) -> None:
    platform.apply(dataset, PUSH)
    first = Ingest(platform, port, tmp_path).wait()
    first.push_when_ready(dataset, row(0))
    acknowledged = [0]

    def produce() -> None:
        with suppress(ConnectionClosed, OSError), websocket(first, dataset, "p") as opened:
            assert told(opened)["last"] is None
            sender = threading.Thread(target=send, args=(opened,))
            sender.start()
            while True:
                acknowledged.append(told(opened)["through_number"])

    def send(opened: ClientConnection) -> None:
        with suppress(ConnectionClosed, OSError):
            for number in range(1, 20_001):
                if number == 10_000:
                    killed.wait(60)  # however fast it is, the fault meets it at work
                opened.send(f"{number} {row(number)}")

    killed = threading.Event()
    producing = threading.Thread(target=produce)
    producing.start()
    until(lambda: acknowledged[-1] > 1000, "some frames are acknowledged")
    first.kill()
    killed.set()
    producing.join(60)
    assert acknowledged[-1] < 20_000, "the test came too late to interrupt anything"
    with ingest(platform, another_port(), tmp_path) as second:
        until(lambda: second.push(dataset, row(0)).status_code == 202, "the dataset is taken over")
        last = last_of(second, dataset, "p")
        assert last is not None
        assert last >= acknowledged[-1], "what was acknowledged had not been written"
        send_all(second, dataset, max(1, last - 500), 20_000)  # a careful producer repeats some
        assert last_of(second, dataset, "p") == 20_000
    assert platform.column(dataset, "id") == [0, *range(20_001)]  # 0 was pushed twice, without a key


def test_the_control_without_a_name_what_is_repeated_is_written_again(
    platform: Platform, dataset: str, port: int, tmp_path: Path
) -> None:
    platform.apply(dataset, PUSH)
    with ingest(platform, port, tmp_path) as running:
        running.push_when_ready(dataset, row(0))
        for _ in range(2):
            with websocket(running, dataset) as opened:
                opened.send(f"1 {row(1)}")
                assert told(opened)["through_number"] == 1
        assert not failures(running, dataset), "a producer that goes away is nothing unusual"
    assert platform.column(dataset, "id") == [0, 1, 1]


def test_a_producer_that_moves_between_instances_is_written_once(
    platform: Platform, dataset: str, port: int, tmp_path: Path, another_port: Callable[[], int]
) -> None:
    platform.apply(dataset, PUSH)
    with ingest(platform, port, tmp_path) as here, ingest(platform, another_port(), tmp_path) as there:
        here.push_when_ready(dataset, row(0), key="here")
        there.push_when_ready(dataset, row(0), key="here")
        for through in (100, 200, 300, 400):
            send_all(here, dataset, 1, through)  # each time from the start
            send_all(there, dataset, 1, through + 50)
            assert last_of(here, dataset, "p") == through + 50
    assert platform.column(dataset, "id") == list(range(451))


class Lines:
    """A POST of lines whose answer is read while it is sent."""

    def __init__(self, running: Ingest, dataset: str, query: str = "") -> None:
        where = urlsplit(running.url)
        self._socket = socket.create_connection((where.hostname, where.port), timeout=60)
        head = (
            f"POST /v1/datasets/{dataset}/stream{query} HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        self._socket.sendall(head.encode())
        self._answer = self._socket.makefile("rb")

    def send(self, text: str) -> None:
        self._socket.sendall(f"{len(text.encode()):x}\r\n{text}\r\n".encode())

    def end(self) -> None:
        self._socket.sendall(b"0\r\n\r\n")

    def status(self) -> int:
        status = int(self._answer.readline().split()[1])
        while self._answer.readline().strip():
            pass
        return status

    def told(self) -> dict[str, Any] | None:
        """The next acknowledgement; None at the end of the answer."""
        size = int(self._answer.readline(), 16)
        chunk = self._answer.read(size + 2)
        return json.loads(chunk) if size else None

    def close(self) -> None:
        self._answer.close()
        self._socket.close()


def test_lines_are_acknowledged_while_more_come(platform: Platform, dataset: str, port: int, tmp_path: Path) -> None:
    platform.apply(dataset, PUSH)
    with ingest(platform, port, tmp_path) as running:
        running.push_when_ready(dataset, row(0))
        lines = Lines(running, dataset)
        lines.send(f"{row(1)}\n{row(2)[:5]}")
        assert lines.status() == 200
        assert lines.told() == {"accepted": 1, "quarantined": 0, "repeated": 0, "through_line": 1}
        assert platform.column(dataset, "id") == [0, 1]
        lines.send(f"{row(2)[5:]}\nnot json\n{row(3)}")
        second = lines.told()
        assert second is not None
        assert second["through_line"] == 3
        lines.end()
        assert lines.told() == {"accepted": 1, "quarantined": 0, "repeated": 0, "through_line": 4}
        assert lines.told() is None
        lines.close()
        cut = Lines(running, dataset)
        cut.send(f"{row(4)}\n{row(5)}")
        assert cut.status() == 200
        assert cut.told() is not None
        cut.close()
        running.push(dataset, row(6))
        assert not failures(running, dataset)
    assert platform.column(dataset, "id") == [0, 1, 2, 3, 4, 6]


def test_kill_9_amid_a_stream_of_lines_and_all_of_it_is_sent_again(
    platform: Platform, dataset: str, port: int, tmp_path: Path, another_port: Callable[[], int]
) -> None:
    platform.apply(dataset, PUSH)
    whole = "".join(f"{row(number)}\n" for number in range(1, 100_001))
    first = Ingest(platform, port, tmp_path).wait()
    first.push_when_ready(dataset, row(0))
    lines = Lines(first, dataset, "?producer=p")
    sending = threading.Thread(target=lambda: send_in_parts(lines, whole))
    sending.start()
    assert lines.status() == 200
    acknowledged = lines.told()
    assert acknowledged is not None
    first.kill()
    sending.join(60)
    lines.close()
    assert acknowledged["through_line"] < 100_000, "the test came too late to interrupt anything"
    with ingest(platform, another_port(), tmp_path) as second:
        until(lambda: second.push(dataset, "").status_code == 202, "the dataset is taken over")
        answer = httpx.post(
            f"{second.url}/v1/datasets/{dataset}/stream?producer=p",
            content=whole,
            headers={**AUTHORISED, "Content-Type": "application/x-ndjson"},
            timeout=120,
        )
        told = [json.loads(line) for line in answer.text.splitlines()]
        assert told[-1]["through_number"] == 100_000
        assert sum(each["repeated"] for each in told) >= acknowledged["through_line"]
    assert platform.column(dataset, "id") == list(range(100_001))


def send_in_parts(lines: Lines, text: str) -> None:
    with suppress(OSError):
        for first in range(0, len(text), 10_000):
            lines.send(text[first : first + 10_000])
        lines.end()
