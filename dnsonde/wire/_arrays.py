"""Arrays as kernels want them: one layout and one mutability each, so that each kernel compiles once."""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from dnsonde.wire.batch import Batch


def frozen(array: ArrayLike, dtype: DTypeLike) -> NDArray[np.generic]:
    """A read-only, C-contiguous, aligned view of the array as `dtype`; copied only where it is not so already."""
    if (
        isinstance(array, np.ndarray) and array.dtype == dtype
    ):  # the usual case; `require` takes five times as long
        flags = array.flags
        if flags.c_contiguous and flags.aligned:
            if not flags.writeable:
                return array
            view = array.view()
            view.flags.writeable = False
            return view
    view = np.require(array, dtype, ["C", "A"]).view()
    view.flags.writeable = False
    return view


def parts(batch: Batch) -> tuple[NDArray[np.generic], NDArray[np.generic], NDArray[np.generic]]:
    """A batch's octets, and where each of its byte strings begins and how long it is."""
    return frozen(batch.data, np.uint8), frozen(batch.offset, np.int64), frozen(batch.length, np.int32)


def rows(out: NDArray[np.uint8], length: NDArray[np.int32], need: int) -> NDArray[np.uint8]:
    """The caller's packet buffer (n, stride) as one dimension.

    ValueError where it is not C-contiguous uint8, has fewer than `need` octets a row, or more rows than `length`.
    """
    if out.ndim != 2 or out.dtype != np.uint8 or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError("out must be a writeable, C-contiguous uint8 array of two dimensions")
    if length.dtype != np.int32 or not length.flags.c_contiguous or length.ndim != 1:
        raise ValueError("length must be a contiguous int32 array of one dimension")
    if out.shape[1] < need:
        raise ValueError(f"rows of {out.shape[1]} octets cannot hold {need}")
    return out.reshape(-1)
