"""Which input rows a result accounts for: the arithmetic between output rows and the rows they came from."""

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def order(parents: Int64s) -> Int64s | None:
    """Where each output row must come from for `parents` to ascend; None when they do already.

    A join may give rows back in another order; rows of one parent keep theirs.
    """
    if bool((parents[1:] >= parents[:-1]).all()):
        return None
    return np.argsort(parents, kind="stable").astype(np.int64)


def members(index: Int64s, rows: int) -> Bools:
    """Which of `rows` rows stand in `index`."""
    found = np.zeros(rows, np.bool_)
    found[index] = True
    return found


def sequence(parents: Int64s) -> Int32s:
    """The number of each output row among those of its parent, from 0. `parents` ascends."""
    repeats = parents[1:] == parents[:-1]
    if not repeats.any():
        return np.zeros(len(parents), np.int32)
    place = np.arange(len(parents))
    first = np.flatnonzero(np.concatenate(([True], ~repeats)))
    counts = np.diff(np.concatenate((first, [len(parents)])))
    return (place - np.repeat(first, counts)).astype(np.int32)
