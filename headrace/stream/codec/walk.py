"""Takes arrays between their plain and their Arrow form, through every level of nesting.

`restore` follows decoding: bytes that decode can still be wrong (a text that is no UUID, a map that has a
key twice), which is a ValueError. `lower` precedes encoding and expects arrays that `conform` has fitted.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.stream.codec.leaves import Leaf
from headrace.stream.codec.shape import Again, ListOf, MapOf, Member, Shape


def restore(array: pa.Array, shape: Shape) -> pa.Array:
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
    parts = restore_members([array.field(at) for at in range(len(shape.carried))], shape.members, len(array))
    return _struct(parts, shape.arrow, array)


def lower(array: pa.Array, shape: Shape) -> pa.Array:
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


def restore_members(columns: Iterable[pa.Array], members: Sequence[Member], length: int) -> list[pa.Array]:
    """The Arrow column of each member, given the plain ones of those that are carried."""
    plain = iter(columns)
    return [restore(next(plain), member.slot.shape) if member.carried else pa.nulls(length) for member in members]


def lower_members(columns: Iterable[pa.Array], members: Sequence[Member]) -> list[pa.Array]:
    """The plain column of each carried member, given the Arrow column of each."""
    return [lower(column, member.slot.shape) for column, member in zip(columns, members, strict=True) if member.carried]


def _struct(parts: list[pa.Array], target: pa.DataType, origin: pa.StructArray) -> pa.Array:
    """A struct of `parts`, null where `origin` is."""
    if parts:
        return pa.StructArray.from_arrays(parts, fields=list(target), mask=_mask(origin))
    validity = pa.array(origin.is_valid()).buffers()[1]
    return pa.Array.from_buffers(target, len(origin), [validity])


def relist(array: pa.Array, target: pa.DataType, convert: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """A list of any kind as `target`, a list with 32-bit offsets, its items converted."""
    return pa.ListArray.from_arrays(_offsets(array), convert(array.flatten()), type=target, mask=_mask(array))


def entries(array: pa.MapArray) -> pa.Array:
    """A map as a list of its entries: Arrow's list functions do not take maps."""
    return array.view(pa.list_(pa.struct([array.type.key_field, array.type.item_field])))


def _restore_map(array: pa.Array, shape: MapOf) -> pa.Array:
    pairs = entries(array) if pa.types.is_map(array.type) else array
    flat = pairs.flatten()
    keys = restore(flat.field(0), shape.key.shape)
    _refuse_repeated_keys(pairs, flat.field(0))
    return map_array(pairs, keys, restore(flat.field(1), shape.value.shape), shape.arrow)


def _refuse_repeated_keys(pairs: pa.Array, keys: pa.Array) -> None:
    if pairs.null_count + len(keys) <= len(pairs) and len(keys) == len(pc.unique(pc.list_parent_indices(pairs))):
        return  # at most one entry in each
    codes = keys.dictionary_encode()
    row_and_key = pc.list_parent_indices(pairs).to_numpy() * len(codes.dictionary) + codes.indices.to_numpy()
    if len(np.unique(row_and_key)) < len(keys):
        raise ValueError("a map has the same key twice")


def _lower_map(array: pa.MapArray, shape: MapOf) -> pa.Array:
    pairs = entries(array)
    flat = pairs.flatten()
    keys, values = lower(flat.field(0), shape.key.shape), lower(flat.field(1), shape.value.shape)
    if pa.types.is_map(shape.plain):
        return map_array(pairs, keys, values, shape.plain)
    struct = pa.StructArray.from_arrays([keys, values], fields=list(shape.plain.value_type))
    return pa.ListArray.from_arrays(_offsets(array=pairs), struct, type=shape.plain, mask=_mask(pairs))


def map_array(pairs: pa.Array, keys: pa.Array, values: pa.Array, target: pa.DataType) -> pa.Array:
    """A map of `keys` and `values`, which are the flattened entries of `pairs`."""
    return pa.MapArray.from_arrays(_offsets(pairs), keys, values, type=target, mask=_mask(pairs))


def _offsets(array: pa.Array) -> pa.Array:
    ends = np.cumsum(pc.fill_null(pc.list_value_length(array), 0).to_numpy(), dtype=np.int64)
    if len(ends) and ends[-1] > np.iinfo(np.int32).max:
        raise ValueError("the lists of one batch hold more than 2^31 items; use a smaller batch")
    return pa.array(np.concatenate(([0], ends)).astype(np.int32))


def _mask(array: pa.Array) -> pa.Array | None:
    return array.is_null() if array.null_count else None
