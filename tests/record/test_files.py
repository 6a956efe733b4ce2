import errno
import os
from pathlib import Path

import pytest

from choreo.errors import StorageError
from choreo.record.files import write_whole, writing


def test_a_failed_write_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file"
    write_whole(path, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOTDIR])
def test_a_place_that_cannot_be_written_is_not_called_full(number: int, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as found, writing(tmp_path):
        raise OSError(number, os.strerror(number))
    assert "folder that can be written to" in str(found.value)
    assert "space" not in str(found.value).lower()
