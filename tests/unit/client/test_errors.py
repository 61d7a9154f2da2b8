"""Which exception a problem becomes, and what it says."""

import httpx
import pytest

from headrace.client import (
    ApiError,
    BrokenOff,
    Conflict,
    GatewayFailed,
    Invalid,
    NotAllowed,
    NotFound,
    NotSignedIn,
    TooManyRequests,
)
from headrace.errors import Transient
from tests.unit.client.script import Script, connect


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Invalid), (401, NotSignedIn), (403, NotAllowed), (404, NotFound), (409, Conflict), (412, Conflict), (413, Invalid),
     (418, ApiError), (422, Invalid), (429, TooManyRequests), (500, GatewayFailed), (503, GatewayFailed)],
)  # fmt: skip
def test_a_status_has_an_exception(status: int, kind: type[ApiError]) -> None:
    with pytest.raises(ApiError) as caught:
        connect(Script(httpx.Response(status)), retries=0).datasets.list()
    assert type(caught.value) is kind


def test_a_problem_tells_its_kind_its_faults_and_the_request() -> None:
    problem = {
        "type": "urn:headrace:problem:invalid-dataset-file",
        "title": "The dataset file is not valid",
        "status": 422,
        "detail": "2 faults",
        "request_id": "5f0c6d7e8a9b4c3d",
        "problems": [{"line": 1}, {"line": 2}],
    }
    with pytest.raises(Invalid, match="not valid: 2 faults") as caught:
        connect(Script(httpx.Response(422, json=problem))).datasets.plan("dataset: 1")
    error = caught.value
    assert (error.type, error.request_id) == ("urn:headrace:problem:invalid-dataset-file", "5f0c6d7e8a9b4c3d")
    assert [each["line"] for each in error.problems] == [1, 2]
    assert error.where == "POST /api/v1/plan"


def test_a_proxy_that_knows_no_problems_still_names_the_request() -> None:
    with pytest.raises(GatewayFailed) as caught:
        connect(Script(httpx.Response(504, headers={"X-Request-Id": "abc"})), retries=0).datasets.list()
    assert (caught.value.request_id, caught.value.type) == ("abc", "about:blank")


class Breaking(httpx.SyncByteStream):
    """A body that ends before its end."""

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield b'{"part": "step"}\n'
        raise httpx.RemoteProtocolError("peer closed connection")


def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    parts = connect(Script(httpx.Response(200, stream=Breaking()))).sources.check("source: {}")
    assert next(parts).part == "step"
    with pytest.raises(BrokenOff, match="broke off") as caught:
        next(parts)
    assert isinstance(caught.value, Transient)
