"""What stands between a request and the desk: who may push, how much, and what each outcome is answered with."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headrace.errors import HeadraceError, Transient
from services.ingest.connectors.http_push import cloudevents
from services.ingest.connectors.http_push.access import Access
from services.ingest.connectors.http_push.continuous import Frames
from services.ingest.connectors.http_push.desk import Answer, Desk, KeyReused, Numbered, Push
from services.ingest.connectors.http_push.encoding import Measure, Unpacker, unpacked
from services.ingest.connectors.http_push.problem import Problem, later, paused, too_large, unauthorised
from services.ingest.connectors.http_push.push_body import CONTENT_TYPES, EVENTS, Unreadable, most_rows, row_count
from services.ingest.connectors.http_push.rate import Rate, Rates
from services.ingest.connectors.http_push.settings import HttpPushSource

_APPEARS_S: Final = 2.0  # ingest sees a dataset that was applied within half a second
_LOOK_S: Final = 0.05
_PACE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes requests for all datasets."""

    desk: Desk
    access: Access
    rates: Rates
    max_body_bytes: int
    timeout_s: float

    async def source(self, name: str, authorization: str | None) -> HttpPushSource:
        """What the file of a dataset says, once it is known. Errors: Problem.

        That there is no such dataset is told to who has the platform's token.
        """
        deadline = time.monotonic() + _APPEARS_S
        while (source := self.desk.source(name)) is None:
            if time.monotonic() > deadline:
                if self.desk.knows(name) is None or self.access.is_platform(authorization):
                    raise absent(self.desk, name)
                raise unauthorised(
                    "the bearer token is wrong, or the dataset is not here", "Send a token of the dataset."
                )
            await asyncio.sleep(_LOOK_S)
        return source

    async def allowed(self, name: str, authorization: str | None) -> HttpPushSource:
        """The same, for who may push to it. Errors: Problem."""
        if not authorization:
            raise unauthorised("the bearer token is missing", "Send a token as `Authorization: Bearer ...`.")
        source = await self.source(name, authorization)
        await self.access.allow(name, source, authorization)
        self.check_pause(name)
        return source

    def check_pause(self, name: str) -> None:
        """Only for who may push: it says who paused and why. Errors: Problem (503)."""
        if (pause := self.desk.paused(name)) is not None:
            raise paused(name, pause.told)

    def most_bytes(self, source: HttpPushSource) -> int:
        """The largest body."""
        return min(self.max_body_bytes, source.limits.max_body_bytes or self.max_body_bytes)

    def rate(self, name: str, source: HttpPushSource) -> Rate:
        """How much passes over time."""
        return self.rates.of(name, source.limits)

    async def open(self, name: str, once: bool) -> None:
        """Wait a little for a dataset that may have been applied just now, or be between two versions. Errors: Problem."""
        deadline = time.monotonic() + _APPEARS_S
        while not self.desk.takes(name, once):
            if time.monotonic() > deadline:
                raise absent(self.desk, name)
            await asyncio.sleep(_LOOK_S)

    async def take(
        self,
        name: str,
        source: HttpPushSource,
        body: bytes,
        headers: Mapping[str, str],
        packing: Unpacker | None,
        key: str | None,
    ) -> Answer:
        """Write the rows of a whole body. Errors: Problem."""
        self.check_pause(name)
        form = form_of(headers, source)
        if packing is not None:
            measure = Measure(self.most_bytes(source), source.limits.max_ratio)
            body = await asyncio.to_thread(unpacked, body, packing, measure)
        if form == "cloudevent":
            body, identity = _event(headers, body)
            key = key or identity
        rate = self.rate(name, source)
        rows = await self._counted(body, form, source)
        rate.check()
        rate.charge(rows, len(body))
        push = Push(body, form, key)
        await self.open(name, push.once)
        return await self.answer(name, push)

    async def write(self, name: str, authorization: str | None, producer: str | None, group: Frames) -> Answer:
        """Write a group of a continuous producer as fast as its dataset may be pushed to. Errors: Problem."""
        source = await self.allowed(name, authorization)  # again: a token may have been revoked since
        rate = self.rate(name, source)
        while wait_s := rate.wait_s():
            await asyncio.sleep(min(wait_s, _PACE_S))
        if not group.rows:
            return Answer(0, 0)
        rate.charge(group.rows, group.size_bytes)
        if producer is None:
            push = Push(b"\n".join(group.frames), "ndjson", None)
        else:
            push = Push.of(Numbered(producer, group.numbers, group.frames))
        await self.open(name, push.once)
        return await self.answer(name, push)

    async def last(self, name: str, producer: str) -> int | None:
        """The last number that was accepted of a producer. Errors: Problem."""
        push = Push.of(Numbered(producer, (), ()))
        await self.open(name, push.once)
        return (await self.answer(name, push)).last

    async def answer(self, name: str, push: Push) -> Answer:
        """Wait until a request is durable. Errors: Problem."""
        try:
            waiting = asyncio.wrap_future(self.desk.hand_in(name, push))
            return await asyncio.wait_for(asyncio.shield(waiting), self.timeout_s)
        except KeyError:
            raise absent(self.desk, name) from None
        except KeyReused as error:
            raise Problem(422, "Idempotency-Key reused", str(error), "Use a new key for a new body.") from error
        except Unreadable as error:
            raise Problem(400, "Unreadable body", str(error), "Correct the body; nothing of it was taken.") from error
        except (Transient, TimeoutError) as error:
            raise later(str(error) or f"no commit in {self.timeout_s:g} s; the rows may still be written") from error
        except HeadraceError as error:
            raise Problem(409, "Refused", str(error), "Correct the rows or the dataset file.") from error

    async def _counted(self, body: bytes, form: str, source: HttpPushSource) -> int:
        """The rows of a body, or a bound where nobody has to know. Errors: Problem (400, 413)."""
        most, limits = most_rows(body, form), source.limits
        if most is not None and most <= limits.rows_per_request and limits.rows_per_second is None:
            return most
        try:
            rows = await asyncio.to_thread(row_count, body, form)
        except Unreadable as error:
            raise Problem(400, "Unreadable body", str(error), "Correct the body; nothing of it was taken.") from error
        if rows > limits.rows_per_request:
            raise too_large(f"the body has {rows} rows, limits.rows_per_request is {limits.rows_per_request}")
        return rows


def form_of(headers: Mapping[str, str], source: HttpPushSource) -> str:
    """How a body is to be read. Errors: Problem (415)."""
    if cloudevents.is_binary(headers):
        return "cloudevent"
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    form = CONTENT_TYPES.get(kind)
    if form in EVENTS or source.format == "auto":
        if form is None:
            known = ", ".join(CONTENT_TYPES)
            raise Problem(
                415, "Unsupported media type", f"Content-Type is {kind or 'missing'}", f"Send one of {known}."
            )
        return form
    return source.format


def absent(desk: Desk, name: str) -> Problem:
    """Why a dataset takes no pushes. Who is told 404 may give its rows up: it is said only when there is no such dataset."""
    if (known := desk.knows(name)) is None:
        return later("ingest has just started and does not know yet which datasets there are")
    if known:
        return later(f"nobody writes the rows of {name} at the moment: `headrace status {name}` tells why")
    return Problem(
        404,
        "No such dataset",
        f"no dataset {name!r} takes pushes here",
        "Apply it with `source: {type: http_push}`.",
    )


def _event(headers: Mapping[str, str], body: bytes) -> tuple[bytes, str]:
    """A single event in structured mode, and what tells it from others. Errors: Problem (400)."""
    try:
        if cloudevents.is_binary(headers):
            body = cloudevents.event_of(headers, body)
        return body, cloudevents.identity(cloudevents.parsed(body))
    except (ValueError, RecursionError) as error:
        raise Problem(400, "Unreadable event", str(error), "Correct the event; it was not taken.") from error
