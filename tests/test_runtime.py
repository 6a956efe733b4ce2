"""Threads and the memory allocator of a process."""

import logging
from pathlib import Path

import pytest
import torch

from choreo import runtime


@pytest.mark.parametrize(("asked", "given"), [(0, 3), (1, 1), (2, 2), (3, 3), (8, 3)])
def test_threads_are_at_most_the_cores(
    asked: int, given: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(runtime, "usable_cores", lambda: 3)
    monkeypatch.setattr(torch, "set_num_threads", seen.append)
    assert runtime.set_threads(asked) == given and seen == [given]


@pytest.mark.parametrize("name", ["tcmalloc", "jemalloc"])
def test_an_allocator_that_keeps_memory_is_left_alone_and_named(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    maps = f"7f00-7f01 r-xp 00000000 fe:00 12 /usr/lib/lib{name}.so.4\n"
    monkeypatch.setattr(Path, "read_text", lambda self: maps)
    monkeypatch.setattr(runtime, "_tell_glibc", lambda: pytest.fail("it was told something"))
    with caplog.at_level(logging.INFO, "choreo"):
        assert runtime.keep_memory()
    assert caplog.messages == [f"memory allocator: {name}"]


@pytest.mark.parametrize("understood", [True, False])
def test_what_the_log_says_of_the_systems_allocator(
    understood: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime, "_preloaded_allocator", lambda: None)
    monkeypatch.setattr(runtime, "_tell_glibc", lambda: understood)
    with caplog.at_level(logging.INFO, "choreo"):
        assert runtime.keep_memory() is understood
    (line,) = caplog.messages
    assert ("glibc" in line) is understood and line.endswith("freed memory")
