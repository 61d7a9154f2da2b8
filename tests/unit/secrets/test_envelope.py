"""What is sealed opens again, and only as what it was sealed."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretBytes

from headrace.errors import Fatal
from headrace.secrets import envelope
from headrace.secrets.envelope import Sealed, opened, opened_text, rewrap, seal
from headrace.secrets.keys import MasterKeys

NEW, OLD = SecretBytes(bytes(range(32))), SecretBytes(bytes(range(32, 64)))
BEFORE = MasterKeys({"2025-11": OLD})
BOTH = MasterKeys({"2026-11": NEW, "2025-11": OLD})
AFTER = MasterKeys({"2026-11": NEW})
NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,127}", fullmatch=True)
PLAIN = b"correct horse battery staple"


def rewritten(sealed: Sealed, **fields: Any) -> Sealed:
    """The record with fields as somebody wrote them who has no key."""
    return replace(sealed, **fields)


@given(NAMES, st.integers(1, 2**31 - 1), st.binary())
def test_what_is_sealed_opens_again_after_a_way_through_json(name: str, version: int, plain: bytes) -> None:
    sealed = seal(BOTH, name, version, plain)
    stored = Sealed.from_dict(json.loads(json.dumps(sealed.to_dict())))
    assert stored == sealed
    assert opened(BOTH, name, stored).get_secret_value() == plain


@given(st.text())
def test_text_comes_back_as_text(plain: str) -> None:
    assert opened_text(BOTH, "a", seal(BOTH, "a", 1, plain.encode())).get_secret_value() == plain


def test_a_record_holds_neither_the_secret_nor_a_key_and_never_repeats() -> None:
    first, second = (seal(BOTH, "a", 1, PLAIN) for _ in range(2))
    assert first.payload != second.payload
    assert first.wrapped_key != second.wrapped_key
    stored = first.wrapped_key + first.payload
    assert all(hidden not in stored for hidden in (PLAIN, NEW.get_secret_value(), OLD.get_secret_value()))


@given(st.sampled_from(["wrapped_key", "payload"]), st.data())
def test_no_bit_of_the_record_can_be_changed(field: str, data: st.DataObject) -> None:
    sealed = seal(BOTH, "a", 1, PLAIN)
    changed = bytearray(getattr(sealed, field))
    bit = data.draw(st.integers(0, 8 * len(changed) - 1))
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Fatal, match="the secret a, version 1, cannot be opened"):
        opened(BOTH, "a", rewritten(sealed, **{field: bytes(changed)}))


@given(st.sampled_from(["wrapped_key", "payload"]), st.data())
def test_no_byte_of_the_record_can_be_missing(field: str, data: st.DataObject) -> None:
    sealed = seal(BOTH, "a", 1, PLAIN)
    whole: bytes = getattr(sealed, field)
    short = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(Fatal, match="the secret a, version 1, cannot be opened"):
        opened(BOTH, "a", rewritten(sealed, **{field: short}))


def test_the_two_layers_of_two_records_cannot_be_mixed() -> None:
    first, second = seal(BOTH, "a", 1, PLAIN), seal(BOTH, "a", 1, b"another")
    with pytest.raises(Fatal, match="cannot be opened"):
        opened(BOTH, "a", replace(first, payload=second.payload))


SAME_KEY_OTHER_ID = MasterKeys({"2027-11": NEW})
SWAPS: dict[str, tuple[MasterKeys, str, dict[str, Any]]] = {
    "name": (AFTER, "b", {"name": "b"}),
    "version": (AFTER, "a", {"version": 2}),
    "key id": (SAME_KEY_OTHER_ID, "a", {"key_id": "2027-11"}),
}
"""For each swap: the keys and the name it is opened with, and what of the record was rewritten."""


@pytest.mark.parametrize(("keys", "name", "change"), SWAPS.values(), ids=SWAPS.keys())
def test_a_record_under_another_name_version_or_key_id_does_not_open(
    keys: MasterKeys, name: str, change: dict[str, Any]
) -> None:
    swapped = rewritten(seal(AFTER, "a", 1, PLAIN), **change)
    with pytest.raises(Fatal, match="cannot be opened: it was changed, or it was sealed as another"):
        opened(keys, name, swapped)


@pytest.mark.parametrize(("keys", "name", "change"), SWAPS.values(), ids=SWAPS.keys())
def test_the_control_without_associated_data_the_swap_would_open(
    keys: MasterKeys, name: str, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelope, "_context", unbound)
    swapped = rewritten(seal(AFTER, "a", 1, PLAIN), **change)
    assert opened(keys, name, swapped).get_secret_value() == PLAIN


@pytest.mark.parametrize("layer", ["key", "payload"])
@pytest.mark.parametrize("swap", ["name", "version"])
def test_each_layer_alone_refuses_another_name_and_version(
    layer: str, swap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, name, change = SWAPS[swap]
    monkeypatch.setattr(envelope, "_context", binding_only(layer))
    swapped = rewritten(seal(AFTER, "a", 1, PLAIN), **change)
    with pytest.raises(Fatal, match="cannot be opened"):
        opened(keys, name, swapped)


def unbound(layer: str, *bound: str | int) -> bytes:
    return b""


def binding_only(bound_layer: str) -> Callable[..., bytes]:
    bind = envelope._context
    return lambda layer, *bound: bind(layer, *bound) if layer == bound_layer else b""


def test_a_whole_record_found_under_another_name_does_not_open() -> None:
    with pytest.raises(Fatal, match="found for the secret b is that of a"):
        opened(BOTH, "b", seal(BOTH, "a", 1, PLAIN))


def test_another_master_key_of_the_same_id_does_not_open() -> None:
    with pytest.raises(Fatal, match="cannot be opened"):
        opened(MasterKeys({"2026-11": OLD}), "a", seal(AFTER, "a", 1, PLAIN))


def test_a_key_that_is_gone_is_named_with_those_there_are() -> None:
    with pytest.raises(Fatal, match=r"the secret a, version 1, .* no master key 2025-11, only 2026-11: add it again"):
        opened(AFTER, "a", seal(BEFORE, "a", 1, PLAIN))


def test_a_rewrapped_secret_outlives_its_old_master_key() -> None:
    sealed = seal(BEFORE, "a", 1, PLAIN)
    assert opened(BOTH, "a", sealed).get_secret_value() == PLAIN
    rewrapped = rewrap(BOTH, sealed)
    assert rewrapped == replace(sealed, key_id="2026-11", wrapped_key=rewrapped.wrapped_key), "the payload is untouched"
    assert opened(AFTER, "a", rewrapped).get_secret_value() == PLAIN
    with pytest.raises(Fatal, match="no master key 2026-11"):
        opened(BEFORE, "a", rewrapped)


def test_new_secrets_are_sealed_under_the_first_key() -> None:
    assert opened(AFTER, "a", seal(BOTH, "a", 1, PLAIN)).get_secret_value() == PLAIN


def test_what_is_under_the_current_key_needs_no_rewrapping() -> None:
    sealed = seal(BOTH, "a", 1, PLAIN)
    assert rewrap(BOTH, sealed) is sealed


def test_a_record_that_was_changed_is_not_rewrapped() -> None:
    sealed = replace(seal(BEFORE, "a", 1, PLAIN), version=2)
    with pytest.raises(Fatal, match="the secret a, version 2, cannot be opened"):
        rewrap(BOTH, sealed)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "A"},
        {"name": ""},
        {"name": "a\n"},
        {"name": "a" * 129},
        {"name": None},
        {"version": 0},
        {"version": True},
        {"version": "1"},
        {"key_id": ""},
        {"key_id": "a b"},
        {"wrapped_key": "*"},
        {"payload": "QQ"},
        {"payload": None},
    ],
    ids=str,
)
def test_a_record_with_a_malformed_field_is_refused(change: dict[str, Any]) -> None:
    record: dict[str, Any] = seal(BOTH, "a", 1, PLAIN).to_dict()
    with pytest.raises(Fatal):
        Sealed.from_dict(record | change)


@pytest.mark.parametrize("field", ["name", "version", "key_id", "wrapped_key", "payload"])
def test_a_record_without_a_field_is_refused_by_its_name(field: str) -> None:
    record = seal(BOTH, "a", 1, PLAIN).to_dict()
    del record[field]
    with pytest.raises(Fatal, match=f"no '{field}'"):
        Sealed.from_dict(record)
