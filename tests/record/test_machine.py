"""The commit of the code, as a run records it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from choreo.record.machine import commit, hardware


def test_the_commit_of_a_checkout_and_of_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commit(tmp_path) is None  # as of an installed wheel
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "__init__.py").touch()
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    clean = commit(tmp_path)
    assert clean is not None and len(clean) == 40
    (tmp_path / "__init__.py").write_text("changed = True")
    assert commit(tmp_path) == f"{clean}-dirty"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "__init__.py").touch()  # installed inside somebody else's checkout
    assert commit(tmp_path / "site") is None
    monkeypatch.setenv("PATH", "")
    assert commit(tmp_path) is None


def test_hardware_without_a_card() -> None:
    found = hardware(cuda=False)
    assert found["cuda_device"] is None and found["cores"] >= 1
