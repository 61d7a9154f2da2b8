"""JSON Patch does what RFC 6902 says, and says what it cannot."""

from typing import Any

import pytest

from headrace.json_patch import Unpatchable, checked, patched, touched

Operation = dict[str, Any]


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        ({"a": 1}, [{"op": "add", "path": "/b", "value": [1]}], {"a": 1, "b": [1]}),
        ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
        ({"a": [1, 2]}, [{"op": "replace", "path": "/a/0", "value": 5}], {"a": [5, 2]}),
        ({"a": {"b": 1}, "c": 2}, [{"op": "remove", "path": "/a/b"}], {"a": {}, "c": 2}),
        ({"a": 1}, [{"op": "move", "from": "/a", "path": "/b"}], {"b": 1}),
        ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
        ({"a/b": 1, "m~n": 2}, [{"op": "remove", "path": "/a~1b"}, {"op": "remove", "path": "/m~0n"}], {}),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": 1}, {"op": "remove", "path": "/a"}], {}),
    ],
)
def test_operations(document: Any, patch: list[Operation], expected: Any) -> None:
    before = repr(document)
    assert patched(document, checked(patch)) == expected
    assert repr(document) == before


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ([{"op": "remove", "path": "/b"}], "the remove of /b fails: .*non-existent object 'b'"),
        ([{"op": "replace", "path": "/b", "value": 1}], "the replace of /b fails: .*non-existent object 'b'"),
        ([{"op": "test", "path": "/a", "value": 2}], "the test of /a fails: 1 .* is not equal to tested value 2"),
        ([{"op": "add", "path": "/l/7", "value": 1}], "the add of /l/7 fails: can't insert outside of list"),
        ([{"op": "copy", "from": "/l/x", "path": "/b"}], "the copy of /b fails: 'x' is not a valid sequence index"),
        ([{"op": "add", "path": "/a/b", "value": 1}], "the add of /a/b fails: .* does not support indexing"),
    ],
)
def test_a_patch_that_does_not_fit_says_why(patch: list[Operation], said: str) -> None:
    with pytest.raises(Unpatchable, match=said):
        patched({"a": 1, "l": [1]}, checked(patch))


@pytest.mark.parametrize(
    "patch",
    [{"op": "add"}, [1], [{"op": "give", "path": "/a"}], [{"op": "add", "path": "/a"}], [{"op": "remove", "path": "a"}],
     [{"op": "remove", "path": ""}], [{"op": ["add"], "path": "/a", "value": 1}], [{"op": {}, "path": "/a"}]],
)  # fmt: skip
def test_what_is_no_patch_is_refused(patch: Any) -> None:
    with pytest.raises(Unpatchable):
        checked(patch)


def test_which_columns_a_patch_may_change() -> None:
    patch = [
        {"op": "test", "path": "/t", "value": 1},
        {"op": "add", "path": "/a/0", "value": 1},
        {"op": "move", "from": "/b", "path": "/c"},
        {"op": "copy", "from": "/d", "path": "/e"},
    ]
    assert touched(checked(patch)) == {"a", "b", "c", "e"}
