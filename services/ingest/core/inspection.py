"""What is said of a source before anything is saved of it: each step that was tried, and what the source offers."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow as pa

from headrace.connector import Choosing, Connector, Fetched, Step, Stream
from headrace.errors import Fatal, Transient
from services.ingest.core import profile


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an answer; `body` is JSON. See docs/sources/README.md."""

    kind: Literal["step", "stream", "end"]
    body: dict[str, Any]


def inspected(opened: Callable[[], Connector], clock: Callable[[], float], *, discover: bool) -> Iterator[Part]:
    """The parts of an answer, each as soon as it is known; the last one is `end`. `clock` counts seconds."""
    steps = Steps(clock)
    try:
        connector = opened()
        for step in connector.check():
            yield steps.part(step)
            if not step.ok:
                break
        else:
            sample = _sample(connector)
            yield steps.part(_unchosen(connector) if isinstance(connector, Choosing) else _sampled(sample))
            if discover:
                for stream in connector.discover():
                    yield Part("stream", described(stream, sample.rows if sample else None))
    except (Fatal, Transient) as error:
        yield steps.part(Step("open", False, str(error), "source"))
    yield Part("end", {"ok": steps.ok, "took_s": steps.taken()})


class Steps:
    """Times each step, and remembers whether all went well."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begun = self._last = clock()
        self.ok = True

    def part(self, step: Step) -> Part:
        """The step with the time since the last one, in seconds."""
        self.ok &= step.ok
        now = self._clock()
        self._last, took = now, now - self._last
        return Part("step", asdict(step) | {"took_s": round(took, 3)})

    def taken(self) -> float:
        """Seconds since the first."""
        return round(self._clock() - self._begun, 3)


def described(stream: Stream, rows: pa.RecordBatch | None) -> dict[str, Any]:
    """What a source offers, with what a sample says of it. What the source declares comes before what a sample suggests."""
    fitting = rows if rows is not None and rows.schema.names == stream.schema.names else None
    sample = fitting if fitting is not None else pa.RecordBatch.from_pylist([], schema=stream.schema)
    return {
        "name": stream.name,
        "rows_sampled": sample.num_rows,
        "columns": profile.columns(sample, stream.schema),
        "keys": list(stream.keys) or profile.keys(sample),
        "keys_declared": bool(stream.keys),
        "cursors": list(stream.cursors) or profile.cursors(sample),
        "kind": stream.kind,
        "namespace": stream.namespace,
        "rows_estimated": stream.rows,
    }


def _sample(connector: Connector) -> Fetched | None:
    """The first rows, if there are any yet."""
    return next((fetched for fetched, _ in connector.read(None)), None)


def _unchosen(connector: Choosing) -> Step:
    return Step("choose", True, f"nothing is chosen yet: {connector.setting} says what is read", connector.setting)


def _sampled(sample: Fetched | None) -> Step:
    if sample is None:
        return Step("sample", True, "there are no rows yet")
    rejected = sample.rejected
    if rejected and not sample.rows.num_rows:
        first = rejected[0]
        remedy = "say how the source is written, or what its columns are"
        return Step("sample", False, f"none of {len(rejected)} rows can be read: {first.detail}", "source", remedy)
    set_aside = (
        f"; {len(rejected)} would be quarantined, such as {rejected[0].source}: {rejected[0].detail}"
        if rejected
        else ""
    )
    return Step("sample", True, f"{sample.rows.num_rows} rows of {sample.rows.num_columns} columns read{set_aside}")
