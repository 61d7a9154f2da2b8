"""Work that is not live takes its turn: it waits while live work has a backlog, and is never shut out."""

from collections.abc import Callable
from dataclasses import dataclass, field

from headrace.stream.pump import Delivery
from headrace.stream.right_of_way import MOST_ROOM_S, MOVING_S, ROOM, ROOM_ROWS, TURN_ROWS, TURN_S, RightOfWay
from headrace.stream.stage import Records


@dataclass
class Scripted:
    """A source that always has records; `backlog` says what it says of itself."""

    backlog: bool = True
    rows: int = 0
    asked: list[int] = field(default_factory=list)
    epoch: int = 1

    def poll(self, max_rows: int, timeout_s: float) -> Delivery | None:
        self.asked.append(max_rows)
        records = Records.numbered("t", [None] * self.rows)
        return Delivery(records, {}, None, self.epoch, self.backlog)

    def rewind(self) -> None: ...

    def before_handover(self, finish: Callable[[], None]) -> None: ...

    def close(self) -> None: ...


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 0.001
        return self.now_s


def test_it_waits_for_a_backlog_and_gets_a_small_batch_each_second() -> None:
    clock = Clock()
    way = RightOfWay(clock)
    live, other = Scripted(), Scripted()
    leading, yielding = way.leading(live), way.yielding(other)
    assert yielding.poll(50_000, 0.0) is not None
    assert other.asked == [50_000], "nobody is in a hurry yet"
    leading.poll(50_000, 0.0)
    assert yielding.poll(50_000, 0.0) is None
    clock.now_s += TURN_S
    assert yielding.poll(50_000, 0.0) is not None
    assert yielding.poll(50_000, 0.0) is None
    assert other.asked == [50_000, TURN_ROWS]
    live.backlog = False
    leading.poll(50_000, 0.0)
    assert yielding.poll(50_000, 0.0) is not None
    assert other.asked[-1] == 50_000
    assert live.asked == [50_000, 50_000], "live work is never cut"


def test_live_work_that_ends_holds_nobody_back() -> None:
    way = RightOfWay(Clock())
    live, other = Scripted(), Scripted()
    leading, yielding = way.leading(live), way.yielding(other)
    yielding.poll(10, 0.0)
    leading.poll(10, 0.0)
    assert yielding.poll(10, 0.0) is None
    leading.close()
    assert yielding.poll(10, 0.0) is not None


def test_beside_rows_that_come_it_takes_small_batches_and_leaves_room_after_each() -> None:
    clock = Clock()
    way = RightOfWay(clock)
    live, other = Scripted(backlog=False, rows=20), Scripted(rows=50_000)
    leading, yielding = way.leading(live), way.yielding(other)
    leading.poll(50_000, 0.0)
    assert yielding.poll(50_000, 0.0) is not None
    assert other.asked == [ROOM_ROWS]
    clock.now_s += 0.1  # it is worked on
    assert yielding.poll(50_000, 0.0) is None
    clock.now_s += ROOM * 0.05
    assert yielding.poll(50_000, 0.0) is None
    clock.now_s += ROOM * 0.06
    assert yielding.poll(50_000, 0.0) is not None
    clock.now_s += 0.1
    clock.now_s += MOVING_S
    assert yielding.poll(50_000, 0.0) is not None, "nothing has come for a while"
    assert other.asked == [ROOM_ROWS, ROOM_ROWS, 50_000]


def test_however_long_a_batch_takes_it_does_not_rest_for_ever() -> None:
    clock = Clock()
    way = RightOfWay(clock)
    leading, yielding = way.leading(Scripted(backlog=False, rows=20)), way.yielding(Scripted(rows=1))
    yielding.poll(10, 0.0)
    clock.now_s += 100
    leading.poll(10, 0.0)
    assert yielding.poll(10, 0.0) is None
    clock.now_s += MOST_ROOM_S
    leading.poll(10, 0.0)
    assert yielding.poll(10, 0.0) is not None
