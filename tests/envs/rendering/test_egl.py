import ctypes
import os
from typing import Any

import pytest

from choreo.envs.rendering import egl

POINTERS = ctypes.POINTER(ctypes.c_void_p)
INTEGER, VALUE = ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_ssize_t)


class Library:
    """A libEGL with devices of the given CUDA numbers; None has no such attribute."""

    def __init__(self, *numbers: int | None) -> None:
        devices = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, POINTERS, INTEGER)
        attribute = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_void_p, ctypes.c_int, VALUE)

        def query_devices(limit: int, found: Any, count: Any) -> int:
            count[0] = len(numbers)
            for index in range(len(numbers)):
                found[index] = 100 + index
            return 1

        def query_attribute(device: int, name: int, value: Any) -> int:
            number = numbers[device - 100]
            if name != 0x323A or number is None:
                return 0
            value[0] = number
            return 1

        functions: dict[bytes, Any] = {
            b"eglQueryDevicesEXT": devices(query_devices),
            b"eglQueryDeviceAttribEXT": attribute(query_attribute),
        }
        self._functions = functions
        finder = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)
        self.eglGetProcAddress: Any = finder(
            lambda name: ctypes.cast(functions[name], ctypes.c_void_p).value
        )


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(egl.DEVICE_VARIABLE, "")
    monkeypatch.delenv(egl.DEVICE_VARIABLE)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("visible", "numbers", "device"),
    [
        (None, (None, 1, 0), "2"),
        ("1", (None, 1, 0), "1"),
        ("1,0", (0, 1), "1"),
        ("3", (None, 0), "1"),
        ("3", (0, 1), ""),
        ("", (0,), ""),
        ("-1", (0,), ""),
        ("GPU-1234", (0,), ""),
        (None, (None,), ""),
        (None, (), ""),
    ],
)
def test_the_first_visible_cuda_device_is_found_among_those_of_egl(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, numbers: tuple, device: str
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert egl.select_device(Library(*numbers)) == device
    assert os.environ.get(egl.DEVICE_VARIABLE, "") == device


def test_the_users_device_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(egl.DEVICE_VARIABLE, "7")
    assert egl.select_device(Library(0)) == "7"
    assert os.environ[egl.DEVICE_VARIABLE] == "7"


def test_a_library_without_the_extension_changes_nothing() -> None:
    class Old:
        def __init__(self) -> None:
            finder = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)
            self.eglGetProcAddress: Any = finder(lambda name: None)

    assert egl.cuda_numbers(Old()) == [] and egl.select_device(object()) == ""
    assert egl.DEVICE_VARIABLE not in os.environ
