"""Takes arrays between their plain and their Arrow form, through every level of nesting.

`restore` follows decoding: bytes that decode can still be wrong (a text that is no UUID, a map that has a
key twice), which is a ValueError. `lower` precedes encoding and expects arrays that `conform` has fitted.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.stream.codec.arrow import Array, DataType
from headrace.stream.codec.leaves import Convert, Leaf
from headrace.stream.codec.shape import Again, ListOf, MapOf, Member, Shape


def restore(array: Array, shape: Shape) -> Array:
    """The Arrow values of what a decoder yielded. Errors: ValueError."""
    if isinstance(shape, Leaf):
        return shape.restore(array)
    if isinstance(shape, Again):
        return pa.ExtensionArray.from_storage(shape.arrow, array)
    if isinstance(shape, ListOf):
        return relist(array, shape.arrow, lambda items: restore(items, shape.item.shape))
    if isinstance(shape, MapOf):
        return _restore_map(array, shape)
    if shape.plain == shape.arrow and all(isinstance(member.slot.shape, Leaf) for member in shape.members):
        return array
    # What stands in a member where the whole is null says nothing: `flatten` makes it null too.
    columns = array.flatten() if array.null_count else [array.field(at) for at in range(len(shape.carried))]
    return _struct(restore_members(columns, shape.members, len(array)), shape.arrow, array)


def lower(array: Array, shape: Shape) -> Array:
    """What an encoder takes for these Arrow values. Errors: ValueError for a value the Avro type cannot hold."""
    if isinstance(shape, Leaf):
        return shape.lower(array)
    if isinstance(shape, Again):
        raise ValueError("a recursive schema can be read, not written")
    if isinstance(shape, ListOf):
        return relist(array, shape.plain, lambda items: lower(items, shape.item.shape))
    if isinstance(shape, MapOf):
        return _lower_map(array, shape)
    return _struct(lower_members(map(array.field, range(len(shape.members))), shape.members), shape.plain, array)


def restore_members(columns: Iterable[Array], members: Sequence[Member], length: int) -> list[Array]:
    """The Arrow column of each member, given the plain ones of those that are carried."""
    plain = iter(columns)
    return [restore(next(plain), member.slot.shape) if member.carried else pa.nulls(length) for member in members]


def lower_members(columns: Iterable[Array], members: Sequence[Member]) -> list[Array]:
    """The plain column of each carried member, given the Arrow column of each."""
    return [lower(column, member.slot.shape) for column, member in zip(columns, members, strict=True) if member.carried]


def _struct(parts: list[Array], target: DataType, origin: Array) -> Array:
    """A struct of `parts`, null where `origin` is."""
    if parts:
        return pa.StructArray.from_arrays(parts, fields=list(target), mask=_mask(origin))
    validity = origin.is_valid().buffers()[1]
    return pa.Array.from_buffers(target, len(origin), [validity])


def relist(array: Array, target: DataType, convert: Convert) -> Array:
    """A list of any kind as `target`, a list with 32-bit offsets, its items converted."""
    offsets, items = _items(array)
    return pa.ListArray.from_arrays(offsets, convert(items), type=target, mask=_mask(array))


def remap(array: Array, target: DataType, convert_key: Convert, convert_value: Convert) -> Array:
    """A map, or a list of entries, as the map `target`, its keys and values converted."""
    offsets, keys, values = _entries(array)
    return pa.MapArray.from_arrays(offsets, convert_key(keys), convert_value(values), type=target, mask=_mask(array))


def _restore_map(array: Array, shape: MapOf) -> Array:
    offsets, keys, _ = _entries(array)
    codes = keys.dictionary_encode()
    rows = np.repeat(np.arange(len(array)), np.diff(offsets))
    if len(np.unique(rows * len(codes.dictionary) + codes.indices.to_numpy())) < len(keys):
        raise ValueError("a map has the same key twice")
    return remap(
        array,
        shape.arrow,
        lambda plain: restore(plain, shape.key.shape),
        lambda plain: restore(plain, shape.value.shape),
    )


def _lower_map(array: Array, shape: MapOf) -> Array:
    if pa.types.is_map(shape.plain):
        return remap(array, shape.plain, lambda keys: keys, lambda values: lower(values, shape.value.shape))
    offsets, keys, values = _entries(array)
    parts = [lower(keys, shape.key.shape), lower(values, shape.value.shape)]
    entries = pa.StructArray.from_arrays(parts, fields=list(shape.plain.value_type))
    return pa.ListArray.from_arrays(offsets, entries, type=shape.plain, mask=_mask(array))


def _items(array: Array) -> tuple[Array, Array]:
    """The offsets of a list, from 0 and with 32 bits, and the items they point into.

    Arrow's own kernels for this do not take maps, nor extension types inside.
    """
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        return _offsets(np.arange(len(array) + 1) * size), array.values.slice(array.offset * size, len(array) * size)
    if pa.types.is_list_view(array.type) or pa.types.is_large_list_view(array.type):
        lengths: Any = pc.list_value_length(array)
        return _offsets(np.concatenate(([0], np.cumsum(pc.fill_null(lengths, 0), dtype=np.int64)))), array.flatten()
    offsets = array.offsets.to_numpy()
    return _offsets(offsets - offsets[0]), array.values.slice(offsets[0], offsets[-1] - offsets[0])


def _entries(array: Array) -> tuple[Array, Array, Array]:
    if not pa.types.is_map(array.type):
        offsets, entries = _items(array)
        return offsets, entries.field(0), entries.field(1)
    offsets = array.offsets.to_numpy()
    start, length = offsets[0], offsets[-1] - offsets[0]
    return _offsets(offsets - start), array.keys.slice(start, length), array.items.slice(start, length)


def _offsets(offsets: np.ndarray[Any, Any]) -> Array:
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError("the lists of one batch hold more than 2^31 items; use a smaller batch")
    return pa.array(offsets.astype(np.int32))


def _mask(array: Array) -> Array | None:
    return array.is_null() if array.null_count else None
