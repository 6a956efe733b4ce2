"""Calls of kernels: one at a time, or those of a whole loop by one call.

Where tensors are small, what a loop costs is calling and not computing. `repeat` therefore runs two
steps of a loop as they are written, watches which kernels they call on what, and has the rest of
them called in C (choreo_repeat), where calling costs next to nothing.
"""

import ctypes
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from choreo.native.build import library

MOST = 16  # arguments of a kernel, as in kernels.c
Argument = Tensor | int | ctypes.Array[Any] | None
Call = tuple[Any, Sequence[Argument]]


@dataclass
class Watch:
    """What a step did: kernels that it called, and whether that was all."""

    calls: list[Call] = field(default_factory=list)
    only_kernels: bool = True


class _Watching(threading.local):
    by: Watch | None = None


_watching = _Watching()
_functions: dict[str, Any] = {}  # kernels that have been called, with their types declared


def call(name: str, *arguments: Argument) -> None:
    """Call a kernel: integers go as C longs, None as null, all else as pointers to its data."""
    function = _functions.get(name) or _declared(name, arguments)
    function(*[a.data_ptr() if isinstance(a, Tensor) else a for a in arguments])
    if _watching.by is not None:
        _watching.by.calls.append((function, arguments))


def _declared(name: str, arguments: Sequence[Argument]) -> Any:
    kernels = library()
    assert kernels is not None, "ask `usable` first"
    function = kernels[name]
    function.argtypes = [
        ctypes.c_long if isinstance(a, int) else ctypes.c_void_p for a in arguments
    ]
    function.restype = None
    return _functions.setdefault(name, function)


def watched() -> bool:
    """Whether this is one of the steps from which `repeat` takes the others."""
    return _watching.by is not None


def not_a_kernel() -> None:
    """Say that something was computed which no kernel does, so that no step is left out."""
    if _watching.by is not None:
        _watching.by.only_kernels = False


def repeat(step: Callable[[int], object], times: range) -> None:
    """Call step(t) for every t; from the third on the kernels that it calls, without Python.

    What a step computes has to be kernels on contiguous tensors that are there before the loop, at
    places that move on evenly with t. A step that computes anything else says so, by
    `not_a_kernel`, and is then called for every t.

    Raises RuntimeError for a step that makes tensors of its own or leaves those that it moves in.
    """
    not_a_kernel()  # for a loop around this one
    watches = [_watch(step, t) for t in times[:2]]
    if len(times) > 2 and all(watch.only_kernels for watch in watches):
        _go_on(watches[0].calls, watches[1].calls, len(times) - 2)
    else:
        for t in times[2:]:
            step(t)


def _watch(step: Callable[[int], object], t: int) -> Watch:
    with watched_by(Watch()) as watch:
        step(t)
    return watch


@contextmanager
def watched_by(watch: Watch) -> Iterator[Watch]:
    """Note the kernels that are called within there, and nowhere else."""
    before, _watching.by = _watching.by, watch
    try:
        yield watch
    finally:
        _watching.by = before


def _go_on(first: Sequence[Call], second: Sequence[Call], times: int) -> None:
    """Call the same kernels `times` more, with arguments that move on as from first to second."""
    if [function for function, _ in first] != [function for function, _ in second]:
        raise RuntimeError("the steps of a loop call different kernels")
    if max((len(given) for _, given in second), default=0) > MOST:
        raise RuntimeError(f"a kernel of a loop has more than {MOST} arguments")
    addresses = [ctypes.cast(function, ctypes.c_void_p).value for function, _ in second]
    arguments, ways = [0] * (MOST * len(second)), [0] * (MOST * len(second))
    for number, ((_, before), (_, now)) in enumerate(zip(first, second, strict=True)):
        for place, pair in enumerate(zip(before, now, strict=True), MOST * number):
            arguments[place], ways[place] = _next(*pair, times)
    longs = ctypes.c_long * len(arguments)
    kernels = library()
    assert kernels is not None
    functions = (ctypes.c_void_p * len(addresses))(*addresses)
    kernels.choreo_repeat(
        functions,
        longs(*arguments),
        longs(*ways),
        ctypes.c_long(len(addresses)),
        ctypes.c_long(times),
    )


def _next(before: Argument, now: Argument, times: int) -> tuple[int, int]:
    """An argument of the third step as a number, and how far it is from that of the second."""
    if not isinstance(now, Tensor) or not isinstance(before, Tensor):
        if before is not now and before != now:
            raise RuntimeError(f"an argument of a loop's kernels was {before} and then {now}")
        return (0 if now is None else int(now)), 0  # pyright: ignore[reportArgumentType]
    at = now.data_ptr()
    if before is now:
        return at, 0
    way = at - before.data_ptr()
    if way:
        storage = now.untyped_storage()
        begin, end = storage.data_ptr(), storage.data_ptr() + storage.nbytes()
        last = at + times * way
        inside = begin <= last and last + now.numel() * now.element_size() <= end
        if not inside or before.untyped_storage().data_ptr() != begin:
            raise RuntimeError("a step of a loop left the tensor that it moved in, or made its own")
    return at + way, way
