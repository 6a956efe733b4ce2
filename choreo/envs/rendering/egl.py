"""Which EGL device is the graphics card that CUDA uses; asks libEGL alone, without OpenGL."""

import ctypes
import os
from typing import Any

DEVICE_VARIABLE = "MUJOCO_EGL_DEVICE_ID"  # MuJoCo reads it: an index into eglQueryDevicesEXT
_CUDA_DEVICE = 0x323A  # EGL_CUDA_DEVICE_NV of the extension EGL_NV_device_cuda
_MAX_DEVICES = 64


def select_device(library: Any = None) -> str:
    """Name to MuJoCo the EGL device of the first visible CUDA device; returns its index or "".

    A device the user has named stays. Where there is no CUDA device, or EGL does not tell which
    one is, nothing changes. `library` is libEGL. Must come before MuJoCo's EGL is imported.
    """
    if DEVICE_VARIABLE in os.environ:
        return os.environ[DEVICE_VARIABLE]
    wanted = _first_visible(os.environ.get("CUDA_VISIBLE_DEVICES"))
    if wanted is None:
        return ""
    found = _match(cuda_numbers(library), wanted)
    if found is None:
        return ""
    os.environ[DEVICE_VARIABLE] = str(found)
    return str(found)


def cuda_numbers(library: Any = None) -> list[int | None]:
    """Return the CUDA number of each EGL device in order, None for one that CUDA does not use."""
    try:
        egl = ctypes.CDLL("libEGL.so.1") if library is None else library
        devices = _query_devices(egl)
        return [_query_cuda_number(egl, device) for device in devices]
    except (OSError, AttributeError):
        return []


def _first_visible(visible: str | None) -> int | None:
    """Return the number of the first visible CUDA device; None when there is none or no number."""
    if visible is None:
        return 0
    first = visible.split(",")[0].strip()
    return int(first) if first.isdecimal() else None


def _match(numbers: list[int | None], wanted: int) -> int | None:
    """Return the index of the wanted device, or of the only one that CUDA uses."""
    if wanted in numbers:
        return numbers.index(wanted)
    used = [index for index, number in enumerate(numbers) if number is not None]
    return used[0] if len(used) == 1 else None


def _function(egl: Any, name: str, *arguments: Any) -> Any:
    """Return an extension's function; raises `AttributeError` where this EGL has none."""
    find = egl.eglGetProcAddress
    find.restype, find.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    address = find(name.encode())
    if not address:
        raise AttributeError(name)
    return ctypes.CFUNCTYPE(ctypes.c_uint, *arguments)(address)


def _query_devices(egl: Any) -> list[int]:
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    counter = ctypes.POINTER(integer)
    query = _function(egl, "eglQueryDevicesEXT", integer, ctypes.POINTER(pointer), counter)
    devices, count = (pointer * _MAX_DEVICES)(), integer(0)
    if not query(_MAX_DEVICES, devices, ctypes.byref(count)):
        return []
    return [device or 0 for device in devices[: count.value]]


def _query_cuda_number(egl: Any, device: int) -> int | None:
    value = ctypes.c_ssize_t(-1)
    query = _function(
        egl,
        "eglQueryDeviceAttribEXT",
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_ssize_t),
    )
    known = query(device, _CUDA_DEVICE, ctypes.byref(value))
    return int(value.value) if known and value.value >= 0 else None
