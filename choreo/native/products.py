"""Products of matrices as a kernel, by the routine that PyTorch takes itself.

Alone it is no faster than `torch.mm`; it is what lets loops with products run without Python
(choreo/native/calls.py).
"""

import ctypes
import functools

import torch
from torch import Tensor

from choreo.native.build import library
from choreo.native.calls import Watch, call, watched_by


@functools.cache
def routine() -> int | None:
    """Address of PyTorch's own sgemm, or None where it shows none that multiplies as it should."""
    try:
        address = ctypes.cast(ctypes.CDLL(torch._C.__file__).sgemm_, ctypes.c_void_p).value
    except (OSError, AttributeError):
        return None
    if address is None or library() is None:
        return None
    a, b = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(3, 4)
    outs = [torch.full((2, 4), torch.nan), torch.ones(2, 4)]
    with watched_by(Watch()):  # whoever asks first may be watched
        for out, c in zip(outs, (None, outs[1]), strict=True):
            _multiply(address, a, b, c, out)
    fits = all(torch.equal(out, a @ b + k) for k, out in enumerate(outs))
    return address if fits else None


def multiply(a: Tensor, b: Tensor, out: Tensor, c: Tensor | None = None) -> Tensor:
    """Fill in and return out (N, M) = a (N, K) b (K, M), plus c (M,) or (N, M) where it is given.

    Factors lie row by row or column by column, c and out row by row; c may be out itself. Ask for
    the `routine` first.
    """
    address = routine()
    assert address is not None, "ask for the `routine` first"
    _multiply(address, a, b, c, out)
    return out


def _multiply(address: int, a: Tensor, b: Tensor, c: Tensor | None, out: Tensor) -> None:
    rows, inner, columns = a.shape[0], a.shape[1], b.shape[1]
    fits = c is None or c.shape == (columns,) or c.shape == (rows, columns)
    if not fits or not out.is_contiguous() or (c is not None and c.stride(-1) != 1 < columns):
        raise RuntimeError("what is added to a product, and where it goes, must lie row by row")
    c_row = 0 if c is None or c.dim() == 1 else c.stride(0)
    factors = (a, *_lines(a), b, *_lines(b))
    call("choreo_multiply", address, *factors, c, c_row, out, rows, columns, inner)


def _lines(x: Tensor) -> tuple[int, int]:
    """How far the lines of a matrix are apart, and whether these are its columns."""
    for turned in (0, 1):
        lines, length = x.shape[turned], x.shape[1 - turned]
        apart, between = x.stride(turned), x.stride(1 - turned)
        if (between == 1 or length <= 1) and (apart >= length or lines <= 1):
            return max(apart, length, 1), turned
    raise RuntimeError(f"a matrix of strides {x.stride()} has no rows or columns in one piece")
