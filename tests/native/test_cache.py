"""Kernels are code: only a file of this user's own, whole and unchanged, is loaded."""

import errno
import logging
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from choreo import native
from choreo.native import build

pytestmark = pytest.mark.skipif(native.library() is None, reason="there is no C compiler")
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")

PLANTED = """
#include <stdio.h>
__attribute__((constructor)) static void plant(void) { fclose(fopen(PLANTED, "w")); }
int choreo_threads(long n) { return 1; }
"""


@pytest.fixture(scope="module")
def good() -> tuple[str, bytes]:
    """Name and bytes of good kernels, which take seconds to build."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    assert compiler is not None
    path, content = build._built(compiler, build._fingerprint(compiler))
    return path.name, content


@pytest.fixture(autouse=True)
def builder(good: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that has the kernels ready."""

    def build_quickly(compiler: str, fingerprint: str, place: Path) -> tuple[Path, bytes]:
        path = place / good[0]
        path.unlink(missing_ok=True)
        path.write_bytes(good[1])
        path.chmod(0o600)
        return path, good[1]

    monkeypatch.setattr(build, "_build", build_quickly)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds good kernels."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert build.loaded.__wrapped__() is not None
    return tmp_path / "cache" / "choreo" / "native"


def plant(cache: Path) -> Path:
    """Put other code in the place of the kernels; the file that tells whether it ran."""
    (path,) = cache.glob("*.so")
    ran, source = cache.parent / "ran", cache.parent / "planted.c"
    source.write_text(PLANTED)
    subprocess.run(
        ["cc", "-shared", "-fPIC", f'-DPLANTED="{ran}"', "-o", str(path), str(source)], check=True
    )
    return ran


def given_away(cache: Path) -> None:
    """The folder and what is in it belong to somebody else; so do the names of the files."""
    for path in (cache, *cache.iterdir()):
        os.chown(path, NOBODY, NOBODY)


def open_to_all(cache: Path) -> None:
    (path,) = cache.glob("*.so")
    path.chmod(0o666)


def cut(cache: Path) -> None:
    (path,) = cache.glob("*.so")
    os.truncate(path, 50_000)


def linked(cache: Path) -> None:
    (path,) = cache.glob("*.so")
    path.symlink_to(path.rename(cache.parent / "elsewhere.so"))


def pipe(cache: Path) -> None:
    (path,) = cache.glob("*.so")
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "spoil",
    [pytest.param(given_away, marks=as_root), open_to_all, cut, linked, pipe, plant],
)
def test_what_is_not_ours_and_whole_is_built_anew(
    spoil: Callable[[Path], object], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(cache)
    with caplog.at_level(logging.INFO, "choreo"):
        found = build.loaded.__wrapped__()
    assert found is not None and found.identity == native.identity()
    assert not (cache.parent / "ran").exists()
    if spoil is given_away:
        assert "for this process alone" in caplog.text and "another user" in caplog.text
    else:  # the same name again, with the bytes that it stands for
        assert str(cache) in caplog.text and cache.stat().st_mode & 0o777 == 0o700


def test_a_cache_that_is_read_only_is_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "read-only file system")

    for name in ("_locked", "_build"):
        monkeypatch.setattr(build, name, refuse)
    assert build.loaded.__wrapped__() is not None


def test_a_cache_that_all_may_write_to_is_closed(cache: Path) -> None:
    cache.chmod(0o777)
    assert build.loaded.__wrapped__() is not None
    assert cache.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("place", ["/dev/null", "", "here/relative"])
def test_where_nothing_can_be_kept_kernels_are_built_for_the_process(
    place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", place)
    monkeypatch.setenv("HOME", "")
    with caplog.at_level(logging.INFO, "choreo"):
        found = build.loaded.__wrapped__()
    assert found is not None and "for this process alone" in caplog.text
    assert list(tmp_path.iterdir()) == []
